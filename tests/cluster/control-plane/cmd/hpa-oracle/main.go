// Command hpa-oracle asks the real HPA controller: one question per line on standard input, one answer per line on standard
// output, both JSON. The controller's own code decides; only its clients are fake, and its clock stands still at the
// question's `now` (2000-01-01T00:00:00Z), but for the few nanoseconds that each client call takes.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/api/resource"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/features"
)

// Question is one line of input: exactly one of its fields is set.
type Question struct {
	// Decide asks for one reconciliation.
	Decide *Input `json:"decide"`
	// Quantity asks what the API machinery reads from a text.
	Quantity *string `json:"quantity"`
	// Gates asks for the feature gates that matter.
	Gates bool `json:"gates"`
}

func main() {
	// A test is what gets a clock that stands still; there is no other door to one. It never returns: see the end of serve.
	serve := testing.InternalTest{Name: "oracle", F: func(t *testing.T) { synctest.Test(t, serve) }}
	everything := func(_, _ string) (bool, error) { return true, nil }
	testing.Main(everything, []testing.InternalTest{serve}, nil, nil)
}

func serve(t *testing.T) {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		answer, err := json.Marshal(answer(line))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = out.Write(append(answer, '\n'))
		if in.Buffered() == 0 {
			_ = out.Flush()
		}
	}
	_ = out.Flush()
	os.Exit(0)
}

func answer(line []byte) (result any) {
	defer func() {
		if problem := recover(); problem != nil {
			result = map[string]string{"panic": fmt.Sprint(problem)}
		}
	}()
	var question Question
	if err := json.Unmarshal(line, &question); err != nil {
		return map[string]string{"panic": err.Error()}
	}
	switch {
	case question.Decide != nil:
		return decide(question.Decide)
	case question.Quantity != nil:
		return read(*question.Quantity)
	default:
		return gates()
	}
}

// Number is what a text is read as.
type Number struct {
	Valid bool  `json:"valid"`
	Milli int64 `json:"milli"`
	// Float is of the text as it stands, Stored of the text that the API server makes of it. As texts, since readers of JSON
	// are not exact to the last bit.
	Float  string `json:"float"`
	Stored string `json:"stored"`
}

func read(text string) Number {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return Number{}
	}
	stored := resource.MustParse(quantity.String())
	exact := func(q resource.Quantity) string { return strconv.FormatFloat(q.AsApproximateFloat64(), 'g', -1, 64) }
	return Number{Valid: true, Milli: quantity.MilliValue(), Float: exact(quantity), Stored: exact(stored)}
}

func gates() map[string]bool {
	gate := utilfeature.DefaultFeatureGate
	return map[string]bool{
		"HPAScaleToZero":           gate.Enabled(features.HPAScaleToZero),
		"HPAConfigurableTolerance": gate.Enabled(features.HPAConfigurableTolerance),
		"PodLevelResources":        gate.Enabled(features.PodLevelResources),
	}
}
