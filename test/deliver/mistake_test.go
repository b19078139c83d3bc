package delivertest

import (
	"maps"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

// A mistake that the API server can see changes nothing of what runs, is named
// with its object and reason, and is mended by the next revision.
func TestMistakesChangeNothing(t *testing.T) {
	t.Parallel()
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m.check(t)
		})
	}
}

// mistake is a file of the second version that must not be.
type mistake struct {
	prepare func(*world)
	file    string
	words   []string
}

var mistakes = map[string]mistake{
	"schema": {
		file: `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: many}
`,
		words: []string{"Deployment/$NS/web", "replicas"},
	},
	"validation": {
		file: `apiVersion: v1
kind: Service
metadata: {name: extra}
spec: {ports: [{port: 99999}]}
`,
		words: []string{"Service/$NS/extra", "99999"},
	},
	"immutable field": {
		file: `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: app, image: "example.com/app:1"}]}
`,
		words: []string{"Deployment/$NS/web", "immutable"},
	},
	"quota": {
		prepare: (*world).quota,
		file:    configMap("extra", "1"),
		words:   []string{"ConfigMap/$NS/extra", "exceeded quota"},
	},
	"policy": {
		prepare: (*world).policy,
		file:    configMap("extra", "forbidden"),
		words:   []string{"ConfigMap/$NS/extra", "this version is forbidden"},
	},
	"rights": {
		file:  "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\nstringData: {password: hunter2}\n",
		words: []string{"Secret/$NS/extra", "forbidden"},
	},
	"unknown kind": {
		file:  "apiVersion: nobody.example.com/v1\nkind: Thing\nmetadata: {name: extra}\n",
		words: []string{"Thing/$NS/extra", "nobody.example.com/v1"},
	},
}

func (m mistake) check(t *testing.T) {
	w := enter(t)
	w.must(w.tenant("tenant", "secrets"))
	proxy := w.proxy()
	w.run(proxy.Config())
	w.publish(v1, appFiles("1"))
	w.kustomization(app, app, func(k *kustomizev1.Kustomization) { k.Spec.ServiceAccountName = "tenant" })
	w.ready(v1)
	if m.prepare != nil {
		m.prepare(w)
	}
	before := w.versions()

	bad := maps.Clone(appFiles("2"))
	bad["app/web.yaml"] = deployment("web", "1", "")
	file := "app/extra.yaml"
	if len(m.words) > 0 && m.words[0] == "Deployment/$NS/web" {
		file = "app/web.yaml"
	}
	bad[file] = m.file
	w.publish(v2, bad)
	var words []string
	for _, word := range m.words {
		words = append(words, w.here(word))
	}
	c := w.failed(app, words...)
	t.Logf("%s: %s", c.Reason, c.Message)
	w.untouched(before)
	again := w.read(app).ResourceVersion
	proxy.Reset()
	w.until(func() string { return fewer(proxy.Count(isRead), 6) })
	w.untouched(before)
	if now := w.failed(app, words...); now.Message != c.Message {
		t.Errorf("the second time it says\n%s\ninstead of\n%s", now.Message, c.Message)
	}
	if now := w.read(app).ResourceVersion; now != again {
		t.Error("the same failure was written twice")
	}

	good := appFiles("3")
	delete(good, "app/only.yaml")
	w.publish(v3, good)
	w.ready(v3)
}

// isRead matches what is asked when a roll-out is tried again.
func isRead(q apiproxy.Request) bool { return q.Verb == "get" || q.DryRun }

// quota allows as many ConfigMaps as there are.
func (w *world) quota() {
	w.Helper()
	var list corev1.ConfigMapList
	w.must(w.client.List(w.Context(), &list, client.InNamespace(w.namespace)))
	q := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "few"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"count/configmaps": *resource.NewQuantity(int64(len(list.Items)), resource.DecimalSI),
		}},
	}
	w.must(w.client.Create(w.Context(), q))
	w.until(func() string { return w.accepts(configMapObject(w.namespace, "probe", "1")) })
}

// policy refuses ConfigMaps with a version.
func (w *world) policy() {
	w.Helper()
	meta := metav1.ObjectMeta{Name: w.namespace}
	fail := admissionv1.Fail
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &fail,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			},
		}}},
		Validations: []admissionv1.Validation{{
			Expression: `!has(object.data) || !("version" in object.data) || object.data.version != "forbidden"`, Message: "this version is forbidden",
		}},
	}}
	b := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: w.namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
			MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.namespace},
		}},
	}}
	for _, o := range []client.Object{p, b} {
		w.must(w.client.Create(w.Context(), o))
		w.Cleanup(func() { w.erase(o) })
	}
	w.until(func() string { return w.accepts(configMapObject(w.namespace, "probe", "forbidden")) })
}
