package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"homeostat.dev/tests/cluster/control-plane/cmd/hpa-oracle/podautoscaler"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// Answer is what the controller did.
type Answer struct {
	// Desired is what it wrote, or else what its status says.
	Desired int32 `json:"desired"`
	Rescale bool  `json:"rescale"`
	// Reason is the one in the event of the rescale.
	Reason     string               `json:"reason"`
	Conditions map[string]Condition `json:"conditions"`
	Error      string               `json:"error"`
	Proposals  []Proposal           `json:"proposals"`
	History    History              `json:"history"`
}

// Condition is one of the autoscaler's status.
type Condition struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
}

// Proposal is what one metric asks for.
type Proposal struct {
	Replicas    int32  `json:"replicas"`
	Value       *int64 `json:"value"`
	Utilization *int32 `json:"utilization"`
	Error       string `json:"error"`
}

func decide(input *Input) Answer {
	ctx := klog.NewContext(context.Background(), logr.Discard())
	hpa := autoscaler(input)
	world := &world{input: input, written: nil}
	controller := podautoscaler.Door{
		Scales:                  world,
		Autoscalers:             world,
		Mapper:                  mapper{},
		Metrics:                 metrics.NewRESTMetricsClient(podMetrics{world: world}, custom{world: world}, external{world: world}),
		Pods:                    world.lister(),
		Events:                  world,
		Tolerance:               input.Flags.Tolerance,
		DownscaleStabilization:  time.Duration(input.Flags.DownscaleStabilization) * time.Millisecond,
		CPUInitializationPeriod: time.Duration(input.Flags.CPUInitialization) * time.Millisecond,
		InitialReadinessDelay:   time.Duration(input.Flags.InitialReadinessDelay) * time.Millisecond,
	}.Open()
	controller.Remember(key, memory(input.History))

	answer := Answer{Desired: input.Replicas, Conditions: map[string]Condition{}}
	selector, err := labels.Parse(selectorOf(input))
	if err == nil && selectorOf(input) != "" {
		for i := range input.Metrics {
			world.asked = i
			answer.Proposals = append(answer.Proposals, propose(ctx, controller, input, hpa, i, selector))
		}
	}

	world.asked, world.counting = -1, true
	if err := controller.Reconcile(ctx, hpa.DeepCopy(), key); err != nil {
		answer.Error = err.Error()
	}
	if world.written != nil {
		answer.Desired, answer.Rescale = *world.written, true
	}
	answer.Reason = world.reason
	for _, condition := range world.status.Conditions {
		answer.Conditions[string(condition.Type)] = Condition{Status: string(condition.Status), Reason: condition.Reason}
	}
	answer.History = history(controller.Recall(key))
	return answer
}

func propose(ctx context.Context, controller *podautoscaler.HorizontalController, input *Input, hpa *autoscalingv2.HorizontalPodAutoscaler,
	number int, selector labels.Selector) Proposal {
	replicas, status, err := controller.Propose(ctx, hpa.DeepCopy(), hpa.Spec.Metrics[number], input.Replicas, input.StatusReplicas, selector)
	if err != nil {
		return Proposal{Error: err.Error()}
	}
	proposal := Proposal{Replicas: replicas}
	var current autoscalingv2.MetricValueStatus
	switch {
	case status.Resource != nil:
		current = status.Resource.Current
	case status.ContainerResource != nil:
		current = status.ContainerResource.Current
	case status.Pods != nil:
		current = status.Pods.Current
	case status.Object != nil:
		current = status.Object.Current
	case status.External != nil:
		current = status.External.Current
	}
	proposal.Utilization = current.AverageUtilization
	for _, quantity := range []*resource.Quantity{current.AverageValue, current.Value} {
		if quantity != nil {
			milli := quantity.MilliValue()
			proposal.Value = &milli
		}
	}
	return proposal
}

func memory(history History) podautoscaler.Memory {
	var memory podautoscaler.Memory
	for _, r := range history.Recommendations {
		memory.Recommendations = append(memory.Recommendations, podautoscaler.Recommendation{Replicas: r.Replicas, At: r.At})
	}
	for _, e := range history.Up {
		memory.Up = append(memory.Up, podautoscaler.ScaleEvent{Change: e.Change, At: e.At, Outdated: e.Outdated})
	}
	for _, e := range history.Down {
		memory.Down = append(memory.Down, podautoscaler.ScaleEvent{Change: e.Change, At: e.At, Outdated: e.Outdated})
	}
	return memory
}

func history(memory podautoscaler.Memory) History {
	var history History
	for _, r := range memory.Recommendations {
		history.Recommendations = append(history.Recommendations, Recommendation{Replicas: r.Replicas, At: whole(r.At)})
	}
	for _, e := range memory.Up {
		history.Up = append(history.Up, Event{Change: e.Change, At: whole(e.At), Outdated: e.Outdated})
	}
	for _, e := range memory.Down {
		history.Down = append(history.Down, Event{Change: e.Change, At: whole(e.At), Outdated: e.Outdated})
	}
	return history
}

// whole leaves the nanoseconds out that the clients' calls took.
func whole(at time.Time) time.Time {
	return at.Truncate(time.Millisecond).UTC()
}
