package lab_test

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestServerTellsItsVersion(t *testing.T) {
	w := enter(t)
	version, err := w.client.Discovery().ServerVersion()
	w.must(err)
	if version.GitVersion != "v1.37.1" || version.Major != "1" || version.Minor != "37" {
		t.Errorf("version %+v", version)
	}
}

func TestLoadBalancerGetsAnAddress(t *testing.T) {
	w := enter(t)
	services := w.client.CoreV1().Services(w.namespace)
	_, err := services.Create(w.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "app"},
			Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
	w.must(err)
	w.eventually("an address", func() string {
		service, err := services.Get(w.Context(), "app", metav1.GetOptions{})
		w.must(err)
		if in := service.Status.LoadBalancer.Ingress; len(in) == 1 && in[0].IP != "" {
			return ""
		}
		return "none yet"
	})
}

func TestEndpointsFollowReadyPods(t *testing.T) {
	w := enter(t)
	_, err := w.client.CoreV1().Services(w.namespace).Create(w.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "app"}, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
	w.must(err)
	w.deploy(nil, nil)
	w.eventually("2 ready endpoints", func() string {
		slices, err := w.client.DiscoveryV1().EndpointSlices(w.namespace).List(w.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=app"})
		w.must(err)
		ready := 0
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}
		if ready == 2 {
			return ""
		}
		return "not yet"
	})
}

func TestNamespaceDeletionFinishes(t *testing.T) {
	w := enter(t)
	w.deploy(nil, nil)
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })
	w.must(w.client.CoreV1().Namespaces().Delete(w.Context(), w.namespace, metav1.DeleteOptions{}))
	w.eventually("the namespace to go", func() string {
		namespace, err := w.client.CoreV1().Namespaces().Get(w.Context(), w.namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		w.must(err)
		return string(namespace.Status.Phase)
	})
}

func TestOwnedObjectsAreCollected(t *testing.T) {
	w := enter(t)
	maps := w.client.CoreV1().ConfigMaps(w.namespace)
	owner, err := maps.Create(w.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{})
	w.must(err)
	_, err = maps.Create(w.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owned",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}}}, metav1.CreateOptions{})
	w.must(err)
	w.must(maps.Delete(w.Context(), "owner", metav1.DeleteOptions{}))
	w.eventually("the owned object to go", func() string {
		if _, err := maps.Get(w.Context(), "owned", metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return ""
		}
		return "it is still there"
	})
}

// Both ways of being somebody else must end at RBAC: impersonation, and a token of a ServiceAccount.
func TestRBACIsEnforced(t *testing.T) {
	w := enter(t)
	core, rbac := w.client.CoreV1(), w.client.RbacV1()
	_, err := core.ServiceAccounts(w.namespace).Create(w.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}, metav1.CreateOptions{})
	w.must(err)
	token, err := core.ServiceAccounts(w.namespace).CreateToken(w.Context(), "tenant", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	w.must(err)

	impersonating := rest.CopyConfig(w.config)
	impersonating.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + w.namespace + ":tenant"}
	withToken := rest.AnonymousClientConfig(w.config)
	withToken.BearerToken = token.Status.Token
	tenants := map[string]kubernetes.Interface{
		"impersonation": kubernetes.NewForConfigOrDie(impersonating),
		"token":         kubernetes.NewForConfigOrDie(withToken),
	}
	for how, tenant := range tenants {
		if _, err := tenant.CoreV1().ConfigMaps(w.namespace).List(w.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s without a role: %v, want Forbidden", how, err)
		}
	}
	_, err = rbac.Roles(w.namespace).Create(w.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}}}, metav1.CreateOptions{})
	w.must(err)
	_, err = rbac.RoleBindings(w.namespace).Create(w.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "tenant", Namespace: w.namespace}}}, metav1.CreateOptions{})
	w.must(err)
	for how, tenant := range tenants {
		w.eventually(how+" with a role", func() string {
			if _, err := tenant.CoreV1().ConfigMaps(w.namespace).List(w.Context(), metav1.ListOptions{}); err != nil {
				return err.Error()
			}
			return ""
		})
		if err := tenant.CoreV1().ConfigMaps(w.namespace).Delete(w.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s beyond the role: %v, want Forbidden", how, err)
		}
	}
}

func TestLogsSayThatPodsAreSimulated(t *testing.T) {
	w := enter(t)
	w.deploy(nil, nil)
	w.eventually("roll-out", func() string { return rolledOut(w.deployment()) })
	logs, err := w.client.CoreV1().Pods(w.namespace).GetLogs(w.pods("app=app")[0].Name, &corev1.PodLogOptions{}).DoRaw(w.Context())
	w.must(err)
	if !containsAll(string(logs), []string{"simulated"}) {
		t.Errorf("logs: %q", logs)
	}
}
