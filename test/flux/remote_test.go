package fluxtest

import (
	"os"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// through reaches a cluster by a kubeconfig in a Secret; without a key Flux
// looks for "value" and "value.yaml".
func through(secret, key string) func(*kustomizev1.Kustomization) {
	return func(k *kustomizev1.Kustomization) {
		k.Spec.KubeConfig = &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: secret, Key: key}}
	}
}

// createKubeConfig makes a Secret with the kubeconfig of the n-th cluster.
func (w *world) createKubeConfig(secret, key string, n int) {
	w.Helper()
	c, err := cluster(n)
	w.must(err)
	raw, err := os.ReadFile(c.Kubeconfig)
	w.must(err)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: secret}, Data: map[string][]byte{key: raw}})
}

// kustomization_impersonation_test.go KubeConfig: a kubeconfig Secret that does
// not exist is ReconciliationFailed and named, in the API server's words (Flux's
// test sees those of a cache, which Flux does not have for Secrets in a cluster);
// once it is there, with a key of the user's choice, the next revision is
// applied.
func TestKubeConfig(t *testing.T) {
	w := enter(t)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, prunes, through("user-defined-name", "user-defined-key"))
	w.until(name, "failing", failing(meta.ReconciliationFailedReason, `secrets "user-defined-name" not found`))
	w.createKubeConfig("user-defined-name", "user-defined-key", 0)
	w.publish("v2.0.0", w.files(oneConfig))
	k := w.until(name, "at v2.0.0", at("v2.0.0"))
	if r := condition(k, meta.ReadyCondition).Reason; r != meta.ReconciliationSucceededReason {
		t.Errorf("the reason is %s", r)
	}
}

// Flux's tests have one cluster. With two, objects are created, pruned and
// deleted in the one that the kubeconfig names, and nowhere else.
func TestKubeConfigOfAnotherCluster(t *testing.T) {
	w := enter(t)
	second, err := cluster(1)
	if err != nil {
		t.Skip(err)
	}
	there := connect(t, second)
	w.addNamespace(there, w.id)
	hasThere := func(called string) bool {
		t.Helper()
		err := there.Get(w.Context(), client.ObjectKey{Namespace: w.id, Name: called}, &corev1.ConfigMap{})
		w.must(client.IgnoreNotFound(err))
		return err == nil
	}
	w.createKubeConfig("kubeconfig", "value", 1)
	w.publish("v1", w.files(configWithSecret, "$NAME", "one"))
	w.kustomization(name, prunes, waits, through("kubeconfig", ""))
	w.until(name, "at v1", at("v1"))
	if !hasThere("one") || w.hasConfig("one") {
		t.Errorf("there: %v, here: %v", hasThere("one"), w.hasConfig("one"))
	}
	w.publish("v2", w.files(configWithSecret, "$NAME", "two"))
	w.until(name, "at v2", at("v2"))
	if hasThere("one") || !hasThere("two") || w.hasConfig("two") {
		t.Errorf("old there: %v, new there: %v, here: %v", hasThere("one"), hasThere("two"), w.hasConfig("two"))
	}
	w.remove(name)
	if hasThere("two") {
		t.Error("the object outlives the Kustomization")
	}
}

// kustomization_impersonation_test.go Impersonation: without an account the
// kubeconfig's user applies; with --default-service-account the account of that
// name does, and what it may not do is ReconciliationFailed and names it; the
// account of the spec goes before it, and also deletes the objects at the end.
func TestImpersonation(t *testing.T) {
	w := enter(t)
	w.createKubeConfig("kubeconfig", "value.yaml", 0)
	w.publish("v1.0.0", w.files(oneConfig))
	w.kustomization(name, prunes, through("kubeconfig", ""))
	w.until(name, "at v1.0.0", at("v1.0.0"))

	w.hand(name, w.engine("--default-service-account=default"))
	w.publish("v2.0.0", w.files(oneConfig))
	w.until(name, "forbidden", failing(meta.ReconciliationFailedReason, "system:serviceaccount:"+w.id+":default"))

	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: "test"}})
	w.bind("test", "cluster-admin")
	w.edit(name, func(k *kustomizev1.Kustomization) { k.Spec.ServiceAccountName = "test" })
	w.publish("v3.0.0", w.files(oneConfig))
	k := w.until(name, "at v3.0.0", at("v3.0.0"))
	if r := condition(k, meta.ReadyCondition).Reason; r != meta.ReconciliationSucceededReason {
		t.Errorf("the reason is %s", r)
	}
	w.remove(name)
	if w.hasConfig(w.id) {
		t.Error("the object outlives the Kustomization")
	}
}

// bind gives an account of the test's namespace a ClusterRole, everywhere.
func (w *world) bind(account, role string) {
	w.Helper()
	w.clusterWide(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.id},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.id, Name: account}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	})
}

const roleAndBinding = `
-- role.yaml --
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: $ID-role, namespace: $ID}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
-- rolebinding.yaml --
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $ID-rolebinding, namespace: $ID}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: $ID-role}
subjects: [{kind: ServiceAccount, name: default, namespace: $ID}]
`

// kustomization_rbac_test.go: for an account that may not escalate, Flux's
// dry-run of a RoleBinding fails for want of its Role (Sluice needs no dry-run
// where nothing exists yet, and applies both); with Role in
// --custom-apply-stage-kinds both are applied.
func TestRoleBeforeRoleBinding(t *testing.T) {
	w := enter(t)
	w.createKubeConfig("kubeconfig", "value.yaml", 0)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.id, Name: w.id}})
	w.clusterWide(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.id}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings"}, Verbs: []string{"create", "update", "delete", "get", "list", "watch", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}},
	}})
	w.bind(w.id, w.id)
	w.publish("v1.0.0", w.files(roleAndBinding))
	w.kustomization(name, often, prunes, through("kubeconfig", ""), func(k *kustomizev1.Kustomization) { k.Spec.ServiceAccountName = w.id })
	if isFlux() {
		w.until(name, "failing", failing(meta.ReconciliationFailedReason,
			"RoleBinding/"+w.id+"/"+w.id+`-rolebinding not found: rolebindings.rbac.authorization.k8s.io "`+w.id+`-role" not found`))
	} else {
		w.until(name, "at v1.0.0", at("v1.0.0"))
	}
	w.hand(name, w.engine("--custom-apply-stage-kinds=rbac.authorization.k8s.io/Role"))
	w.publish("v2.0.0", w.files(roleAndBinding))
	w.until(name, "at v2.0.0", at("v2.0.0"))
	if !w.has(&rbacv1.Role{}, w.id+"-role") || !w.has(&rbacv1.RoleBinding{}, w.id+"-rolebinding") {
		t.Error("the objects are not there")
	}
}
