// Package lab_test holds the lab to what docs/lab.md says of it.
//
// In: a running lab, found through SLUICE_LAB. Out: a failing test for each
// promise that the lab breaks. A test owns a namespace, deletes it, and must
// never rely on how fast the machine is: it waits for conditions.
package lab_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	behavior = "lab.sluice.dev/behavior"
	after    = "lab.sluice.dev/after"

	patience = 2 * time.Minute // of a loaded machine
)

// inventory is what the supervisor writes to lab.json.
type inventory struct {
	Registry string `json:"registry"`
	Clusters []struct {
		Name       string `json:"name"`
		Server     string `json:"server"`
		Kubeconfig string `json:"kubeconfig"`
	} `json:"clusters"`
}

// world is one cluster of the lab, and the namespace that the test owns there.
type world struct {
	*testing.T
	config    *rest.Config
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func readInventory(t *testing.T) inventory {
	t.Helper()
	dir := os.Getenv("SLUICE_LAB")
	if dir == "" {
		t.Fatal("SLUICE_LAB does not name a running lab: run the tests with \"make test\", which starts one")
	}
	data, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil {
		t.Fatalf("reading the lab's inventory: %v", err)
	}
	var lab inventory
	if err := json.Unmarshal(data, &lab); err != nil {
		t.Fatalf("reading %s/lab.json: %v", dir, err)
	}
	if len(lab.Clusters) == 0 {
		t.Fatalf("%s/lab.json names no cluster", dir)
	}
	return lab
}

// enter opens the first cluster and makes a namespace that goes with the test.
func enter(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	config, err := clientcmd.BuildConfigFromFlags("", readInventory(t).Clusters[0].Kubeconfig)
	if err != nil {
		t.Fatalf("reading the kubeconfig: %v", err)
	}
	config.QPS = -1
	w := &world{T: t, config: config, client: kubernetes.NewForConfigOrDie(config), dynamic: dynamic.NewForConfigOrDie(config)}
	namespace, err := w.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-test-"}}, metav1.CreateOptions{})
	w.must(err)
	w.namespace = namespace.Name
	t.Cleanup(func() {
		w.client.CoreV1().Namespaces().Delete(context.Background(), w.namespace, metav1.DeleteOptions{})
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// eventually waits until look returns ""; else look says what is still missing.
func (w *world) eventually(what string, look func() string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		missing := look()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: not after %s: %s", what, patience, missing)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stays checks that look returns "" all the time for a while.
func (w *world) stays(what string, look func() string) {
	w.Helper()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if wrong := look(); wrong != "" {
			w.Fatalf("%s: %s", what, wrong)
		}
	}
}

func (w *world) pods(selector string) []corev1.Pod {
	w.Helper()
	list, err := w.client.CoreV1().Pods(w.namespace).List(w.Context(), metav1.ListOptions{LabelSelector: selector})
	w.must(err)
	return list.Items
}

// warning waits for a Warning Event about an object whose message has all of the given words.
func (w *world) warning(object string, words ...string) {
	w.Helper()
	w.eventually("a warning about "+object, func() string {
		list, err := w.client.CoreV1().Events(w.namespace).List(w.Context(), metav1.ListOptions{})
		w.must(err)
		var seen []string
		for _, event := range list.Items {
			if event.Type != corev1.EventTypeWarning || event.InvolvedObject.Name != object {
				continue
			}
			seen = append(seen, event.Message)
			if containsAll(event.Message, words) {
				return ""
			}
		}
		return fmt.Sprintf("events: %q, want one with %q", seen, words)
	})
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// unique makes a name that no other run uses.
func unique(prefix string) string { return prefix + strings.ToLower(rand.Text()[:8]) }

func ptr[T any](v T) *T { return &v }
