package delivertest

import (
	"context"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
	"github.com/sluice-dev/sluice/internal/wire"
)

// far is the lab's second cluster.
type far struct {
	*world
	config *rest.Config
	there  client.WithWatch
}

func reach(t *testing.T) *far {
	t.Helper()
	w := enter(t)
	l := labtest.Lab(t)
	if len(l.Clusters) < 2 {
		t.Skip("the lab has one cluster only")
	}
	config, err := clientcmd.BuildConfigFromFlags("", l.Clusters[1].Kubeconfig)
	w.must(err)
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: wire.Scheme()})
	w.must(err)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	w.must(c.Create(w.Context(), ns))
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(c.Delete(context.Background(), ns)); err != nil {
			t.Error(err)
		}
	})
	return &far{world: w, config: config, there: c}
}

// kubeConfig puts the address of a proxy into the Secret.
func (f *far) kubeConfig(p *apiproxy.Proxy) {
	f.Helper()
	c := p.Config()
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:  map[string]*clientcmdapi.Cluster{"far": {Server: c.Host, CertificateAuthorityData: c.CAData}},
		Contexts:  map[string]*clientcmdapi.Context{"far": {Cluster: "far", AuthInfo: "me"}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"me": {Token: c.BearerToken}}, CurrentContext: "far",
	})
	f.must(err)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "far"}, Data: map[string][]byte{"value": content}}
	err = f.client.Update(f.Context(), s)
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = f.client.Create(f.Context(), s)
	}
	f.must(err)
}

func (f *far) version(name string) string {
	f.Helper()
	var cm corev1.ConfigMap
	if err := f.there.Get(f.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, &cm); err != nil {
		f.must(client.IgnoreNotFound(err))
		return "none"
	}
	return cm.Data["version"]
}

func (f *far) awaits(name, version string) {
	f.Helper()
	f.until(func() string {
		if got := f.version(name); got != version {
			return name + " has version " + got + ", want " + version
		}
		return ""
	})
}

func throughSecret(k *kustomizev1.Kustomization) {
	k.Spec.KubeConfig = &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: "far"}}
}

// What is delivered to another cluster is installed, kept, pruned and judged
// there; its kubeconfig may be replaced, and it may be away for a while.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	f := reach(t)
	proxy := apiproxy.New(t, f.config)
	f.kubeConfig(proxy)
	f.run(labtest.Config(t))
	f.publish(v1, appFiles("1"))
	f.kustomization(app, app, throughSecret)
	f.ready(v1)
	f.awaits("a", "1")
	if n := len(f.labelled("no.group")); n > 0 {
		t.Errorf("%d objects are here", n)
	}

	f.drift("a")
	f.publish(v2, appFiles("2"))
	f.ready(v2)
	f.awaits("a", "2")
	f.awaits("only-1", "none")

	second := apiproxy.New(t, f.config)
	f.kubeConfig(second)
	f.until(func() string { return fewer(second.Count(on("watch", "configmaps")), 1) })
	proxy.Refuse(true) // nobody needs it any more
	f.drift("a")
	f.publish(v1, appFiles("1"))
	f.ready(v1)
	f.awaits("a", "1")

	second.Refuse(true)
	f.publish(v3, appFiles("3"))
	c := f.failed(app, "Secret/"+f.namespace+"/far")
	t.Logf("away: %s: %s", c.Reason, c.Message)
	if found := unstable.FindString(c.Message); found != "" {
		t.Errorf("the message has %q: %s", found, c.Message)
	}
	began := time.Now()
	f.kustomization("here", app)
	f.ready(v3, "here")
	t.Logf("one for this cluster took %s meanwhile", time.Since(began).Round(time.Millisecond))
	second.Refuse(false)
	began = time.Now()
	f.ready(v3)
	f.awaits("a", "3")
	t.Logf("healed %s after it came back", time.Since(began).Round(time.Millisecond))

	f.must(f.client.Delete(f.Context(), f.read(app)))
	f.awaits("a", "none")
}

// drift changes an object over there and waits until it is changed back.
func (f *far) drift(name string) {
	f.Helper()
	var cm corev1.ConfigMap
	f.must(f.there.Get(f.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, &cm))
	want := cm.Data["version"]
	cm.Data["version"] = "drifted"
	f.must(f.there.Update(f.Context(), &cm))
	f.awaits(name, want)
}
