package delivertest

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

// tally counts requests by what they are.
func tally(p *apiproxy.Proxy) string {
	counts := map[string]int{}
	total, writes := 0, 0
	for _, q := range p.Requests() {
		name := q.Verb + " " + q.Resource
		switch {
		case q.Resource == "":
			name = "discovery"
		case q.Subresource != "":
			name += "/" + q.Subresource
		}
		if q.DryRun {
			name += " (dry-run)"
		}
		if q.Status >= 400 && q.Status != 404 {
			name += fmt.Sprintf(" (answer %d)", q.Status)
		}
		counts[name]++
		total++
		if q.Writes() {
			writes++
		}
	}
	var lines []string
	for name, n := range counts {
		lines = append(lines, fmt.Sprintf("%d %s", n, name))
	}
	sort.Strings(lines)
	return fmt.Sprintf("%d requests, %d of them writes (%s)", total, writes, strings.Join(lines, ", "))
}

// What one Kustomization of the shape of fluxcd/flux-benchmark costs.
func TestWhatOneKustomizationCosts(t *testing.T) {
	w := enter(t)
	w.must(w.tenant("tenant"))
	proxy := w.proxy()
	w.run(proxy.Config())
	as := func(k *kustomizev1.Kustomization) { k.Spec.ServiceAccountName = "tenant" }
	w.publish(v1, w.benchmark("first", "1"))
	w.kustomization("first", "first", as)
	w.ready(v1)
	w.quiet(proxy)
	t.Logf("install, the first of its kind: %s", tally(proxy))

	both := func(version string) map[string]string {
		files := w.benchmark("first", version)
		for name, text := range w.benchmark("second", version) {
			files[name] = text
		}
		return files
	}
	w.publish(v2, both("1"))
	w.ready(v2)
	w.quiet(proxy)
	proxy.Reset()
	w.kustomization("second", "second", as)
	w.ready(v2)
	w.quiet(proxy)
	t.Logf("install: %s", tally(proxy))

	w.edit("first", func(k *kustomizev1.Kustomization) { k.Spec.Suspend = true })
	w.until(func() string {
		if !w.read("first").Spec.Suspend {
			return "not suspended"
		}
		return ""
	})
	proxy.Reset()
	w.publish(v3, both("2"))
	w.ready(v3, "second")
	w.quiet(proxy)
	t.Logf("upgrade of two objects: %s", tally(proxy))
	if n := proxy.Count(apiproxy.Request.Writes); n > 12 {
		t.Errorf("%d writes", n)
	}

	proxy.Reset()
	w.publish("v4@sha1:4", both("2"))
	w.ready("v4@sha1:4", "second")
	w.quiet(proxy)
	t.Logf("new revision of the same content: %s", tally(proxy))

	proxy.Reset()
	token := w.request()
	w.until(func() string {
		if k := w.read("second"); k.Status.LastHandledReconcileAt != token {
			return describe(k)
		}
		return ""
	})
	t.Logf("requested, nothing to do: %s", tally(proxy))
}

// quiet waits until nothing is on its way any more: Events come late.
func (w *world) quiet(p *apiproxy.Proxy) {
	w.Helper()
	last, since := -1, time.Now()
	w.until(func() string {
		if n := len(p.Requests()); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) < time.Second {
			return "requests are still being made"
		}
		return ""
	})
}

// benchmark is an app of the benchmark.
func (w *world) benchmark(name, version string) map[string]string {
	return w.text(`
-- $NAME/account.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: $NAME}
-- $NAME/service.yaml --
apiVersion: v1
kind: Service
metadata: {name: $NAME}
spec:
  type: ClusterIP
  selector: {app: $NAME}
  ports: [{name: http, port: 80, protocol: TCP, targetPort: http}]
-- $NAME/deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: $NAME}
spec:
  replicas: 0
  selector: {matchLabels: {app: $NAME}}
  template:
    metadata:
      labels: {app: $NAME}
      annotations: {version: "$VERSION"}
    spec:
      serviceAccountName: $NAME
      containers: [{name: app, image: "example.com/app:$VERSION"}]
-- $NAME/ingress.yaml --
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: $NAME
  annotations: {version: "$VERSION"}
spec:
  rules:
  - host: $NAME.example.com
    http:
      paths:
      - path: /
        pathType: ImplementationSpecific
        backend: {service: {name: $NAME, port: {name: http}}}
`, "$NAME", name, "$VERSION", version)
}
