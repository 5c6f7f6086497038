// Package podautoscaler is the package of the real HPA controller (k8s.io/kubernetes/pkg/controller/podautoscaler), with one
// file more: this one. The build lays the other files in, byte for byte from the module cache. This file changes nothing of
// them; it adds a way in: a controller without informers and queue, whose memory can be set and read, and its own unexported
// functions by exported names.
package podautoscaler

import (
	"context"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	scaleclient "k8s.io/client-go/scale"
	"k8s.io/client-go/tools/record"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/monitor"
	"k8s.io/kubernetes/pkg/controller/util/selectors"
)

// Door is what a controller is made of.
type Door struct {
	Scales                  scaleclient.ScalesGetter
	Autoscalers             autoscalingclient.HorizontalPodAutoscalersGetter
	Mapper                  apimeta.RESTMapper
	Metrics                 metricsclient.MetricsClient
	Pods                    corelisters.PodLister
	Events                  record.EventRecorder
	Tolerance               float64
	DownscaleStabilization  time.Duration
	CPUInitializationPeriod time.Duration
	InitialReadinessDelay   time.Duration
}

// Recommendation is one remembered recommendation.
type Recommendation struct {
	Replicas int32
	At       time.Time
}

// ScaleEvent is one remembered change.
type ScaleEvent struct {
	Change   int32
	At       time.Time
	Outdated bool
}

// Memory is what a controller remembers of one autoscaler.
type Memory struct {
	Recommendations []Recommendation
	Up, Down        []ScaleEvent
}

// Open makes a controller that remembers nothing.
func (d Door) Open() *HorizontalController {
	return &HorizontalController{
		scaleNamespacer:              d.Scales,
		hpaNamespacer:                d.Autoscalers,
		mapper:                       d.Mapper,
		tolerance:                    d.Tolerance,
		replicaCalc:                  NewReplicaCalculator(d.Metrics, d.Pods, d.CPUInitializationPeriod, d.InitialReadinessDelay),
		eventRecorder:                d.Events,
		downscaleStabilisationWindow: d.DownscaleStabilization,
		monitor:                      monitor.New(),
		podLister:                    d.Pods,
		recommendations:              map[string][]timestampedRecommendation{},
		scaleUpEvents:                map[string][]timestampedScaleEvent{},
		scaleDownEvents:              map[string][]timestampedScaleEvent{},
		hpaSelectors:                 selectors.NewBiMultimap(),
	}
}

// Remember sets what is remembered.
func (a *HorizontalController) Remember(key string, memory Memory) {
	for _, r := range memory.Recommendations {
		a.recommendations[key] = append(a.recommendations[key], timestampedRecommendation{r.Replicas, r.At})
	}
	for _, e := range memory.Up {
		a.scaleUpEvents[key] = append(a.scaleUpEvents[key], timestampedScaleEvent{e.Change, e.At, e.Outdated})
	}
	for _, e := range memory.Down {
		a.scaleDownEvents[key] = append(a.scaleDownEvents[key], timestampedScaleEvent{e.Change, e.At, e.Outdated})
	}
}

// Recall gives what is remembered.
func (a *HorizontalController) Recall(key string) Memory {
	var memory Memory
	for _, r := range a.recommendations[key] {
		memory.Recommendations = append(memory.Recommendations, Recommendation{r.recommendation, r.timestamp})
	}
	for _, e := range a.scaleUpEvents[key] {
		memory.Up = append(memory.Up, ScaleEvent{e.replicaChange, e.timestamp, e.outdated})
	}
	for _, e := range a.scaleDownEvents[key] {
		memory.Down = append(memory.Down, ScaleEvent{e.replicaChange, e.timestamp, e.outdated})
	}
	return memory
}

// Propose is computeReplicasForMetric.
func (a *HorizontalController) Propose(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, metric autoscalingv2.MetricSpec,
	specReplicas, statusReplicas int32, selector labels.Selector) (int32, autoscalingv2.MetricStatus, error) {
	var status autoscalingv2.MetricStatus
	replicas, _, _, _, err := a.computeReplicasForMetric(ctx, hpa, metric, specReplicas, statusReplicas, selector, &status)
	return replicas, status, err
}

// Reconcile is reconcileAutoscaler.
func (a *HorizontalController) Reconcile(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, key string) error {
	return a.reconcileAutoscaler(ctx, hpa, key)
}
