package apiproxy_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

// onLab is a proxy before the lab's API server and a namespace there.
func onLab(t *testing.T) (*apiproxy.Proxy, string) {
	t.Helper()
	t.Parallel()
	if os.Getenv("SLUICE_LAB") == "" {
		t.Skip("SLUICE_LAB names no lab")
	}
	return apiproxy.New(t, labtest.Config(t)), labtest.Namespace(t, labtest.Client(t))
}

// Typed clients speak protobuf and informers stream lists; both pass, and an
// informer outlives cut watches and a server that goes away.
func TestRealServer(t *testing.T) {
	p, namespace := onLab(t)
	client := kubernetes.NewForConfigOrDie(p.Config())
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	seen := make(chan string, 100)
	informer := factory.Core().V1().ConfigMaps().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { seen <- o.(*corev1.ConfigMap).Name }})
	if err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSync(t.Context().Done())

	create := func(name string) {
		t.Helper()
		direct := kubernetes.NewForConfigOrDie(labtest.Config(t))
		_, err := direct.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	arrives := func(name string) {
		t.Helper()
		for deadline := time.After(labtest.Patience); ; {
			select {
			case got := <-seen:
				if got == name {
					return
				}
			case <-deadline:
				t.Fatalf("the informer does not see %s", name)
			}
		}
	}
	create("a")
	arrives("a")
	p.CutWatches()
	create("b")
	arrives("b")
	p.Refuse(true)
	create("c")
	p.Refuse(false)
	arrives("c")
}

func TestRealImpersonation(t *testing.T) {
	p, namespace := onLab(t)
	c := p.Config()
	c.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + namespace + ":nobody"}
	_, err := kubernetes.NewForConfigOrDie(c).CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("as nobody: %v, want forbidden", err)
	}
	if q := p.Requests()[0]; q.Impersonate != c.Impersonate.UserName || q.Status != 403 {
		t.Errorf("noted as %+v", q)
	}
}

// A dry-run is no write, whichever way it is asked for.
func TestRealDryRuns(t *testing.T) {
	p, namespace := onLab(t)
	maps := kubernetes.NewForConfigOrDie(p.Config()).CoreV1().ConfigMaps(namespace)
	dry := []string{metav1.DryRunAll}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{DryRun: dry}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "x", metav1.DeleteOptions{DryRun: dry}); err != nil {
		t.Fatal(err)
	}
	if got := p.Count(writes); got != 1 {
		t.Errorf("%d writes, want 1: %v", got, p.Requests())
	}
}

// A client that is killed at each write in turn, and started again, leaves what
// one that is never killed leaves.
func TestRealKill(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after=%v", after), func(t *testing.T) {
			p, namespace := onLab(t)
			maps := kubernetes.NewForConfigOrDie(p.Config()).CoreV1().ConfigMaps(namespace)
			for n := 1; ; n++ {
				ctx, cancel := context.WithCancel(t.Context())
				p.KillAt(n, cancel, apiproxy.Kill{After: after})
				for i := range 5 {
					name := fmt.Sprint("x", i)
					body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"n":"%d"}}`, name, n)
					if _, err := maps.Patch(ctx, name, "application/apply-patch+yaml", []byte(body), metav1.PatchOptions{FieldManager: "test"}); err != nil {
						break
					}
				}
				cancel()
				_, killed := p.Killed()
				p.Revive()
				if !killed {
					if n != 6 {
						t.Errorf("survived at %d, want 6", n)
					}
					break
				}
				left, err := maps.List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				written := 0
				for _, cm := range left.Items {
					if cm.Data["n"] == fmt.Sprint(n) {
						written++
					}
				}
				want := n - 1
				if after {
					want = n
				}
				if written != want {
					t.Errorf("n=%d: %d objects are written, want %d", n, written, want)
				}
			}
		})
	}
}
