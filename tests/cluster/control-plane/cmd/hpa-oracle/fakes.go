package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	scaleclient "k8s.io/client-go/scale"
	customapi "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalapi "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	metricsapi "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"
)

// world is what the controller sees, and what it did.
type world struct {
	scaleclient.ScaleInterface

	input *Input
	pods  []*v1.Pod
	// asked is the number of the metric that is being proposed for, or -1 while reconciling.
	asked int
	// counting: resource metrics are asked for without a number; while reconciling they come in the order of the metrics.
	counting bool
	served   int

	written *int32
	reason  string
	status  autoscalingv2.HorizontalPodAutoscalerStatus
}

// tick lets the clock go on by so little that only what is at the same instant is told apart: what a call finds happened
// before what is done with it, as in every cluster.
func tick() { time.Sleep(time.Nanosecond) }

func selectorOf(input *Input) string {
	switch input.Selector {
	case "Missing":
		return ""
	case "Invalid":
		return "app in ("
	default:
		return "app=" + name
	}
}

func (w *world) Scales(string) scaleclient.ScaleInterface { return w }

func (w *world) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	tick()
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: w.input.Replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: w.input.StatusReplicas, Selector: selectorOf(w.input)},
	}, nil
}

func (w *world) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	tick()
	written := scale.Spec.Replicas
	w.written = &written
	return scale, nil
}

func (w *world) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return statusWriter{world: w}
}

type statusWriter struct {
	autoscalingclient.HorizontalPodAutoscalerInterface
	world *world
}

func (s statusWriter) UpdateStatus(_ context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	s.world.status = hpa.Status
	return hpa, nil
}

type mapper struct{ apimeta.RESTMapper }

func (mapper) RESTMappings(schema.GroupKind, ...string) ([]*apimeta.RESTMapping, error) {
	return []*apimeta.RESTMapping{{Resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}}}, nil
}

type podLister struct {
	corelisters.PodLister
	world *world
}

func (w *world) lister() corelisters.PodLister {
	for i := range w.input.Pods {
		w.pods = append(w.pods, w.input.Pods[i].pod())
	}
	return podLister{world: w}
}

func (l podLister) Pods(string) corelisters.PodNamespaceLister {
	return podNamespaceLister{world: l.world}
}

type podNamespaceLister struct {
	corelisters.PodNamespaceLister
	world *world
}

func (l podNamespaceLister) List(labels.Selector) ([]*v1.Pod, error) {
	tick()
	return l.world.pods, nil
}

func (w *world) Event(runtime.Object, string, string, string) {}

func (w *world) Eventf(_ runtime.Object, _, reason, _ string, args ...any) {
	if reason == "SuccessfulRescale" {
		w.reason = fmt.Sprint(args[1])
	}
}

func (w *world) AnnotatedEventf(runtime.Object, map[string]string, string, string, string, ...any) {}

// samples are those of the resource metric that is asked for now.
func (w *world) samples() (Outcome[[]PodSample], string) {
	number := w.asked
	if w.counting {
		for number = w.served; !w.input.Metrics[number].asksMetricsServer(); number++ {
		}
		w.served = number + 1
	}
	metric := w.input.Metrics[number]
	if metric.Resource != nil {
		return metric.Resource.Samples, metric.Resource.Name
	}
	return metric.ContainerResource.Samples, metric.ContainerResource.Name
}

// asksMetricsServer: a resource metric with a target that suits it; without one nothing is asked.
func (m *Metric) asksMetricsServer() bool {
	return (m.Resource != nil || m.ContainerResource != nil) && (m.Target.AverageValue != nil || m.Target.AverageUtilization != nil)
}

// numbered is the metric that a name of `Metric.spec` means.
func (w *world) numbered(metric string) Metric {
	number, err := strconv.Atoi(strings.TrimPrefix(metric, "m"))
	if err != nil {
		panic(err)
	}
	return w.input.Metrics[number]
}

type podMetrics struct {
	resourceclient.PodMetricsInterface
	world *world
}

func (m podMetrics) PodMetricses(string) resourceclient.PodMetricsInterface { return m }

func (m podMetrics) List(context.Context, metav1.ListOptions) (*metricsapi.PodMetricsList, error) {
	samples, name := m.world.samples()
	if samples.Err != nil {
		return nil, errors.New(*samples.Err)
	}
	list := &metricsapi.PodMetricsList{}
	for _, sample := range samples.Ok {
		item := metricsapi.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: sample.Pod, Namespace: namespace},
			Timestamp:  metav1.Time{Time: sample.At},
			Window:     metav1.Duration{Duration: time.Duration(sample.Window) * time.Millisecond},
		}
		for _, container := range sample.Containers {
			usage := v1.ResourceList{}
			if container.Usage != nil {
				usage[v1.ResourceName(name)] = *resource.NewMilliQuantity(*container.Usage, resource.DecimalSI)
			}
			item.Containers = append(item.Containers, metricsapi.ContainerMetrics{Name: container.Name, Usage: usage})
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

type custom struct{ world *world }

func (c custom) RootScopedMetrics() customclient.MetricsInterface       { return c }
func (c custom) NamespacedMetrics(string) customclient.MetricsInterface { return c }
func (c custom) GetForObject(_ schema.GroupKind, _, metric string, _ labels.Selector) (*customapi.MetricValue, error) {
	value := c.world.numbered(metric).Object.Value
	if value.Err != nil {
		return nil, errors.New(*value.Err)
	}
	return &customapi.MetricValue{Value: *resource.NewMilliQuantity(value.Ok, resource.DecimalSI)}, nil
}

func (c custom) GetForObjects(_ schema.GroupKind, _ labels.Selector, metric string, _ labels.Selector) (*customapi.MetricValueList, error) {
	samples := c.world.numbered(metric).Pods.Samples
	if samples.Err != nil {
		return nil, errors.New(*samples.Err)
	}
	list := &customapi.MetricValueList{}
	for _, sample := range samples.Ok {
		list.Items = append(list.Items, customapi.MetricValue{
			DescribedObject: v1.ObjectReference{Kind: "Pod", Name: sample.Pod, Namespace: namespace},
			Value:           *resource.NewMilliQuantity(sample.Value, resource.DecimalSI),
		})
	}
	return list, nil
}

type external struct{ world *world }

func (e external) NamespacedMetrics(string) externalclient.MetricsInterface { return e }

func (e external) List(metric string, _ labels.Selector) (*externalapi.ExternalMetricValueList, error) {
	values := e.world.numbered(metric).External.Values
	if values.Err != nil {
		return nil, errors.New(*values.Err)
	}
	list := &externalapi.ExternalMetricValueList{}
	for _, value := range values.Ok {
		list.Items = append(list.Items, externalapi.ExternalMetricValue{Value: *resource.NewMilliQuantity(value, resource.DecimalSI)})
	}
	return list, nil
}
