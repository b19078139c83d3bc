package simulate

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// nodeNames: one node a zone, so that topology spread constraints mean something.
var nodeNames = []string{"node-a", "node-b", "node-c"}

const region = "lab"

type nodeFacts struct {
	kubeletPort int32
	version     string
}

// nodeLoop keeps the nodes in existence and Ready. No heartbeat is needed,
// because no node-lifecycle controller waits for one.
func nodeLoop(client kubernetes.Interface, shared informers.SharedInformerFactory, facts nodeFacts) *loop {
	l := newLoop("nodes", 1)
	lister := shared.Core().V1().Nodes().Lister()
	l.on(shared.Core().V1().Nodes().Informer())
	for _, name := range nodeNames {
		l.queue.Add(name)
	}
	l.sync = func(ctx context.Context, name string) (time.Duration, error) {
		index := slices.Index(nodeNames, name)
		if index < 0 {
			return 0, nil // a node that the user made is the user's
		}
		node, err := lister.Get(name)
		if apierrors.IsNotFound(err) {
			node, err = client.CoreV1().Nodes().Create(ctx, newNode(name), metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				return 0, nil // its event is on the way
			}
		}
		if err != nil {
			return 0, fmt.Errorf("creating node %s: %w", name, err)
		}
		status, changed := nodeStatus(node, facts, index)
		if !changed {
			return 0, nil
		}
		node = node.DeepCopy()
		node.Status = status
		if _, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return 0, fmt.Errorf("reporting node %s: %w", name, err)
		}
		return 0, nil
	}
	return l
}

func newNode(name string) *corev1.Node {
	zone := "zone-" + name[len(name)-1:]
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
			corev1.LabelTopologyZone: zone, corev1.LabelTopologyRegion: region,
			corev1.LabelInstanceTypeStable: "simulated", "node-role.kubernetes.io/worker": "",
		}},
		Spec: corev1.NodeSpec{ProviderID: "lab://" + name},
	}
}

// nodeStatus is a healthy node's; changed says whether the given one differs in
// what the lab relies on.
func nodeStatus(node *corev1.Node, facts nodeFacts, index int) (status corev1.NodeStatus, changed bool) {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if ready && node.Status.DaemonEndpoints.KubeletEndpoint.Port == facts.kubeletPort && node.Status.NodeInfo.KubeletVersion == facts.version {
		return node.Status, false
	}
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, is corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: is, Reason: reason, Message: "simulated",
			LastHeartbeatTime: now, LastTransitionTime: now}
	}
	// Large enough that what fits on a real cluster fits here.
	size := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("256"), corev1.ResourceMemory: resource.MustParse("1Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Ti"), corev1.ResourcePods: resource.MustParse("5000"),
	}
	return corev1.NodeStatus{
		Capacity: size, Allocatable: size,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
		},
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: nodeIP(index)},
			// The API server asks for logs here.
			{Type: corev1.NodeExternalIP, Address: "127.0.0.1"},
			{Type: corev1.NodeHostName, Address: node.Name},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: facts.kubeletPort}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: facts.version, OperatingSystem: "linux", Architecture: runtime.GOARCH,
			OSImage: "simulated by sluice-lab", ContainerRuntimeVersion: "lab://simulated", KernelVersion: "simulated",
		},
	}, true
}

func nodeIP(index int) string { return fmt.Sprintf("172.18.0.%d", index+11) }
