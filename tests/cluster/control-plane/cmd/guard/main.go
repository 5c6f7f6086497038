// Command guard runs another command and sees to it that the command does not outlive whoever holds the other end of
// guard's standard input: when that is closed, be it because its holder was killed, the command is stopped.
//
//	guard [--kill] -- COMMAND [ARGS]     run a command; --kill: stop it by SIGKILL at once
//	guard --key FILE                     write a new RSA key, for ServiceAccount tokens
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const grace = 5 * time.Second

func main() {
	args := os.Args[1:]
	if len(args) == 2 && args[0] == "--key" {
		exitOn(writeKey(args[1]))
		return
	}
	hard := len(args) > 0 && args[0] == "--kill"
	if hard {
		args = args[1:]
	}
	if len(args) < 2 || args[0] != "--" {
		fmt.Fprintln(os.Stderr, "usage: guard [--kill] -- COMMAND [ARGS]")
		os.Exit(2)
	}
	os.Exit(run(args[1:], hard))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// run starts the command in a process group of its own, says its process id on standard output, and returns its exit code.
func run(command []string, hard bool) int {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	child := exec.Command(command[0], command[1:]...)
	child.Stdout, child.Stderr = os.Stderr, os.Stderr
	// The signal comes when the thread that started the child ends: this one must stay.
	runtime.LockOSThread()
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		return 127
	}
	fmt.Println(child.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(orphaned)
	}()
	select {
	case err := <-ended:
		return exitCode(err)
	case <-orphaned:
	case <-stop:
	}
	return stopChild(child, ended, hard)
}

func stopChild(child *exec.Cmd, ended <-chan error, hard bool) int {
	group := -child.Process.Pid
	if !hard {
		_ = syscall.Kill(group, syscall.SIGTERM)
		_ = syscall.Kill(group, syscall.SIGCONT)
		select {
		case err := <-ended:
			return exitCode(err)
		case <-time.After(grace):
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	return exitCode(<-ended)
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*exec.ExitError); ok {
		if code := exit.ExitCode(); code >= 0 {
			return code
		}
		return 137
	}
	return 1
}
