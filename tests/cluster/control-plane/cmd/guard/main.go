// Command guard runs another command and sees to it that the command does not outlive whoever holds the other end of
// guard's standard input: when that end is closed, be it because its holder was killed, the command is stopped.
//
//	guard [--kill] [--remove DIR] -- COMMAND [ARGS]
//	guard --key FILE
//
// The first form says the command's process id on standard output, sends the command's own output to standard error, and
// ends with the command's exit code, or 128 and the number of the signal that ended it. With --kill the command is
// stopped by SIGKILL at once, otherwise by SIGTERM and after a grace by SIGKILL. With --remove a folder is removed once
// the command was stopped for want of a holder. The second form writes a new RSA key, for ServiceAccount tokens.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// grace is how long a command may take to end after SIGTERM.
const grace = 5 * time.Second

func main() {
	hard := flag.Bool("kill", false, "stop the command by SIGKILL at once")
	remove := flag.String("remove", "", "folder to remove when the holder is gone")
	key := flag.String("key", "", "file to write a new key to")
	flag.Parse()
	if *key != "" {
		if err := writeKey(*key); err != nil {
			fail(1, err)
		}
		return
	}
	if flag.NArg() == 0 {
		fail(2, errors.New("usage: guard [--kill] [--remove DIR] -- COMMAND [ARGS]"))
	}
	code, orphaned := run(flag.Args(), *hard)
	if orphaned && *remove != "" {
		removeAll(*remove)
	}
	os.Exit(code)
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "guard:", err)
	os.Exit(code)
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// run starts the command in a process group of its own and returns its exit code, and whether the holder went first.
func run(command []string, hard bool) (code int, orphaned bool) {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	child := exec.Command(command[0], command[1:]...)
	child.Stdout, child.Stderr = os.Stderr, os.Stderr
	// The child gets Pdeathsig when the thread that started it ends, so this thread must stay.
	runtime.LockOSThread()
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		fail(127, err)
	}
	group := -child.Process.Pid
	fmt.Println(child.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	select {
	case err := <-ended:
		// What it left behind in its group goes too.
		_ = syscall.Kill(group, syscall.SIGKILL)
		return exitCode(err), false
	case <-gone:
		return stopGroup(group, ended, hard), true
	case <-stop:
		return stopGroup(group, ended, hard), false
	}
}

func stopGroup(group int, ended <-chan error, hard bool) int {
	if !hard {
		_ = syscall.Kill(group, syscall.SIGTERM)
		_ = syscall.Kill(group, syscall.SIGCONT)
		select {
		case err := <-ended:
			_ = syscall.Kill(group, syscall.SIGKILL)
			return exitCode(err)
		case <-time.After(grace):
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	return exitCode(<-ended)
}

// removeAll tries for a while: others that write there may be about to end.
func removeAll(dir string) {
	for range 50 {
		if os.RemoveAll(dir) == nil {
			time.Sleep(100 * time.Millisecond)
			if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		status, ok := exit.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	default:
		return 1
	}
}
