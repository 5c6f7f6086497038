package main

import (
	"fmt"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
)

// Input is `hpa::Input` of the core, as it serialises.
type Input struct {
	Now   time.Time `json:"now"`
	Flags struct {
		Tolerance              float64 `json:"tolerance"`
		DownscaleStabilization int64   `json:"downscaleStabilization"`
		CPUInitialization      int64   `json:"cpuInitialization"`
		InitialReadinessDelay  int64   `json:"initialReadinessDelay"`
	} `json:"flags"`
	Min      *int32   `json:"min"`
	Max      int32    `json:"max"`
	Metrics  []Metric `json:"metrics"`
	Behavior *struct {
		ScaleUp   *Rules `json:"scaleUp"`
		ScaleDown *Rules `json:"scaleDown"`
	} `json:"behavior"`
	Replicas       int32   `json:"replicas"`
	StatusReplicas int32   `json:"statusReplicas"`
	Selector       string  `json:"selector"`
	Pods           []Pod   `json:"pods"`
	History        History `json:"history"`
}

// Rules are those of one direction, before defaults.
type Rules struct {
	StabilizationWindowSeconds *int32  `json:"stabilizationWindowSeconds"`
	SelectPolicy               *string `json:"selectPolicy"`
	Policies                   *[]struct {
		Type          string `json:"type"`
		Value         int32  `json:"value"`
		PeriodSeconds int32  `json:"periodSeconds"`
	} `json:"policies"`
	Tolerance *float64 `json:"tolerance"`
}

// Outcome is a value or the reason why there is none.
type Outcome[T any] struct {
	Ok  T       `json:"Ok"`
	Err *string `json:"Err"`
}

// Metric is a metric's specification and its data.
type Metric struct {
	Resource *struct {
		Name    string               `json:"name"`
		Samples Outcome[[]PodSample] `json:"samples"`
	} `json:"resource"`
	ContainerResource *struct {
		Name      string               `json:"name"`
		Container string               `json:"container"`
		Samples   Outcome[[]PodSample] `json:"samples"`
	} `json:"containerResource"`
	Pods *struct {
		Samples Outcome[[]PodValue] `json:"samples"`
	} `json:"pods"`
	Object *struct {
		Value Outcome[int64] `json:"value"`
	} `json:"object"`
	External *struct {
		Values Outcome[[]int64] `json:"values"`
	} `json:"external"`
	Target struct {
		Type               string `json:"type"`
		Value              *int64 `json:"value"`
		AverageValue       *int64 `json:"averageValue"`
		AverageUtilization *int32 `json:"averageUtilization"`
	} `json:"target"`
}

// PodSample is what metrics-server says of a pod.
type PodSample struct {
	Pod        string    `json:"pod"`
	At         time.Time `json:"at"`
	Window     int64     `json:"window"`
	Containers []struct {
		Name  string `json:"name"`
		Usage *int64 `json:"usage"`
	} `json:"containers"`
}

// PodValue is what the custom metrics API says of a pod.
type PodValue struct {
	Pod   string `json:"pod"`
	Value int64  `json:"value"`
}

// Pod is a pod of the target.
type Pod struct {
	Name      string     `json:"name"`
	Phase     string     `json:"phase"`
	Deleting  bool       `json:"deleting"`
	StartTime *time.Time `json:"startTime"`
	Ready     *struct {
		Status string     `json:"status"`
		Since  *time.Time `json:"since"`
	} `json:"ready"`
	Containers     []Container      `json:"containers"`
	InitContainers []Container      `json:"initContainers"`
	Requests       map[string]int64 `json:"requests"`
	Overhead       map[string]int64 `json:"overhead"`
}

// Container is one of a pod.
type Container struct {
	Name        string           `json:"name"`
	Restartable bool             `json:"restartable"`
	Requests    map[string]int64 `json:"requests"`
}

// History is what is remembered.
type History struct {
	Recommendations []Recommendation `json:"recommendations"`
	Up              []Event          `json:"up"`
	Down            []Event          `json:"down"`
}

// Recommendation is one of the past.
type Recommendation struct {
	Replicas int32     `json:"replicas"`
	At       time.Time `json:"at"`
}

// Event is a change that was made.
type Event struct {
	Change   int32     `json:"change"`
	At       time.Time `json:"at"`
	Outdated bool      `json:"outdated"`
}

const (
	namespace = "default"
	name      = "asked"
	key       = namespace + "/" + name
)

func autoscaler(input *Input) *autoscalingv2.HorizontalPodAutoscaler {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	hpa.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		MinReplicas:    input.Min,
		MaxReplicas:    input.Max,
	}
	for i, metric := range input.Metrics {
		hpa.Spec.Metrics = append(hpa.Spec.Metrics, metric.spec(i))
	}
	if input.Behavior != nil {
		hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleUp:   input.Behavior.ScaleUp.rules(),
			ScaleDown: input.Behavior.ScaleDown.rules(),
		}
	}
	defaults.SetDefaults_HorizontalPodAutoscalerBehavior(hpa)
	return hpa
}

func (r *Rules) rules() *autoscalingv2.HPAScalingRules {
	if r == nil {
		return nil
	}
	rules := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: r.StabilizationWindowSeconds}
	if r.SelectPolicy != nil {
		selected := autoscalingv2.ScalingPolicySelect(*r.SelectPolicy)
		rules.SelectPolicy = &selected
	}
	if r.Policies != nil {
		rules.Policies = []autoscalingv2.HPAScalingPolicy{}
		for _, policy := range *r.Policies {
			rules.Policies = append(rules.Policies, autoscalingv2.HPAScalingPolicy{
				Type: autoscalingv2.HPAScalingPolicyType(policy.Type), Value: policy.Value, PeriodSeconds: policy.PeriodSeconds,
			})
		}
	}
	if r.Tolerance != nil {
		tolerance := resource.MustParse(fmt.Sprintf("%dm", int64(math.Round(*r.Tolerance*1000))))
		if tolerance.AsApproximateFloat64() != *r.Tolerance {
			panic(fmt.Sprintf("tolerance %v is not in thousandths", *r.Tolerance))
		}
		rules.Tolerance = &tolerance
	}
	return rules
}

// spec is the metric as of the autoscaler; the fakes find its data by the number in its name.
func (m *Metric) spec(number int) autoscalingv2.MetricSpec {
	target := autoscalingv2.MetricTarget{
		Type:               autoscalingv2.MetricTargetType(m.Target.Type),
		AverageUtilization: m.Target.AverageUtilization,
	}
	if m.Target.Value != nil {
		target.Value = resource.NewMilliQuantity(*m.Target.Value, resource.DecimalSI)
	}
	if m.Target.AverageValue != nil {
		target.AverageValue = resource.NewMilliQuantity(*m.Target.AverageValue, resource.DecimalSI)
	}
	id := autoscalingv2.MetricIdentifier{Name: fmt.Sprintf("m%d", number)}
	switch {
	case m.Resource != nil:
		return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
			Name: v1.ResourceName(m.Resource.Name), Target: target,
		}}
	case m.ContainerResource != nil:
		return autoscalingv2.MetricSpec{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
			Name: v1.ResourceName(m.ContainerResource.Name), Container: m.ContainerResource.Container, Target: target,
		}}
	case m.Pods != nil:
		return autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: id, Target: target}}
	case m.Object != nil:
		described := autoscalingv2.CrossVersionObjectReference{APIVersion: "v1", Kind: "Service", Name: "front"}
		return autoscalingv2.MetricSpec{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{
			DescribedObject: described, Metric: id, Target: target,
		}}
	default:
		return autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: id, Target: target}}
	}
}

func (p *Pod) pod() *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: map[string]string{"app": name}}}
	pod.Status.Phase = v1.PodPhase(p.Phase)
	if p.Deleting {
		pod.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	}
	if p.StartTime != nil {
		pod.Status.StartTime = &metav1.Time{Time: *p.StartTime}
	}
	if p.Ready != nil {
		condition := v1.PodCondition{Type: v1.PodReady, Status: v1.ConditionStatus(p.Ready.Status)}
		if p.Ready.Since != nil {
			condition.LastTransitionTime = metav1.Time{Time: *p.Ready.Since}
		}
		pod.Status.Conditions = []v1.PodCondition{{Type: v1.PodScheduled, Status: v1.ConditionTrue}, condition}
	}
	always := v1.ContainerRestartPolicyAlways
	for _, container := range p.Containers {
		pod.Spec.Containers = append(pod.Spec.Containers, container.container())
	}
	for _, container := range p.InitContainers {
		made := container.container()
		if container.Restartable {
			made.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, made)
	}
	if p.Requests != nil {
		pod.Spec.Resources = &v1.ResourceRequirements{Requests: list(p.Requests)}
	}
	pod.Spec.Overhead = list(p.Overhead)
	return pod
}

func (c *Container) container() v1.Container {
	return v1.Container{Name: c.Name, Resources: v1.ResourceRequirements{Requests: list(c.Requests)}}
}

func list(amounts map[string]int64) v1.ResourceList {
	if amounts == nil {
		return nil
	}
	resources := v1.ResourceList{}
	for name, milli := range amounts {
		resources[v1.ResourceName(name)] = *resource.NewMilliQuantity(milli, resource.DecimalSI)
	}
	return resources
}
