package delivertest

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tenant makes an account that may do everything in the namespace, except with
// some resources of the core group.
func (w *world) tenant(name string, except ...string) error {
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
	if len(except) > 0 {
		rules[0].APIGroups = []string{"apps"}
		core := rbacv1.PolicyRule{APIGroups: []string{""}, Verbs: []string{"*"}}
		for _, resource := range []string{"configmaps", "secrets", "serviceaccounts", "services"} {
			if !slices.Contains(except, resource) {
				core.Resources = append(core.Resources, resource)
			}
		}
		rules = append(rules, core)
	}
	meta := metav1.ObjectMeta{Namespace: w.namespace, Name: name}
	return errors.Join(
		w.client.Create(w.Context(), &corev1.ServiceAccount{ObjectMeta: meta}),
		w.client.Create(w.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}),
		w.client.Create(w.Context(), &rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.namespace, Name: name}},
		}),
	)
}
