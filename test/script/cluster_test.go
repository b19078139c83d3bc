package script_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/lab"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/wire"
)

// requested is the annotation that asks for a look.
const requested = "reconcile.fluxcd.io/requestedAt"

// startCluster makes a namespace on the lab that `make test` started, and lets
// sluice find it: $NAMESPACE, the flag's default, and $KUBECONFIG. No
// controller runs there: scripts say themselves what one would.
func startCluster(ts *testscript.TestScript, _ bool, _ []string) {
	dir := os.Getenv("SLUICE_LAB")
	if dir == "" {
		ts.Fatalf("this script needs the lab: run `make test`, or start one with `bin/sluice up --no-controllers --dir DIR --detach` and set SLUICE_LAB=DIR")
	}
	d, err := lab.Open(dir)
	ts.Check(err)
	l, err := d.Lab()
	ts.Check(err)
	config, err := clientcmd.BuildConfigFromFlags("", l.Clusters[0].Kubeconfig)
	ts.Check(err)
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: wire.Scheme()})
	ts.Check(err)
	ns := &corev1.Namespace{}
	ns.GenerateName = "test-"
	ts.Check(c.Create(context.Background(), ns))
	ts.Defer(func() { _ = c.Delete(context.Background(), ns) })
	ts.Setenv("KUBECONFIG", l.Clusters[0].Kubeconfig)
	ts.Setenv("NAMESPACE", ns.Name)
	ts.Setenv("FLUX_SYSTEM_NAMESPACE", ns.Name)
	w := worldOf(ts)
	w.cluster, w.namespace = c, ns.Name
}

// apply creates the objects of files, or changes them, and says of each what
// its status has.
func apply(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		for _, u := range objects(ts, name) {
			write(ts, u)
		}
	}
}

// respond does so once a user has asked: when the annotation asks for a look
// that nobody had, or when the generation is that of the file.
func respond(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		for _, u := range objects(ts, name) {
			awaitQuestion(ts, u)
			write(ts, u)
		}
	}
}

func write(ts *testscript.TestScript, u *unstructured.Unstructured) {
	ctx, c := context.Background(), worldOf(ts).cluster
	status, has := u.Object["status"].(map[string]any)
	delete(u.Object, "status")
	generation := u.GetGeneration()
	u.SetGeneration(0)
	ts.Check(c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("script"), client.ForceOwnership))
	if !has {
		return
	}
	if asked := u.GetAnnotations()[requested]; asked != "" {
		status["lastHandledReconcileAt"] = asked
	}
	if generation > 0 && u.GetGeneration() != generation {
		ts.Fatalf("%s has generation %d, not %d", u.GetName(), u.GetGeneration(), generation)
	}
	u.Object["status"] = status
	ts.Check(c.Status().Update(ctx, u))
}

func awaitQuestion(ts *testscript.TestScript, u *unstructured.Unstructured) {
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(u.GroupVersionKind())
	stream, err := worldOf(ts).cluster.Watch(ctx, list, &client.ListOptions{
		Namespace: u.GetNamespace(), FieldSelector: fields.OneTermEqualSelector("metadata.name", u.GetName()),
	})
	ts.Check(err)
	defer stream.Stop()
	for e := range stream.ResultChan() {
		got, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		handled, _, _ := unstructured.NestedString(got.Object, "status", "lastHandledReconcileAt")
		asked := got.GetAnnotations()[requested]
		if asked != "" && asked != handled || u.GetGeneration() > 0 && got.GetGeneration() == u.GetGeneration() {
			return
		}
	}
	ts.Fatalf("nobody asked for %s", u.GetName())
}

var ago = regexp.MustCompile(`"@([0-9hms]+) ago"`)

// objects reads a file. "@20m ago" is a time.
func objects(ts *testscript.TestScript, name string) []*unstructured.Unstructured {
	raw := ago.ReplaceAllFunc([]byte(ts.ReadFile(name)), func(m []byte) []byte {
		d, err := time.ParseDuration(string(ago.FindSubmatch(m)[1]))
		ts.Check(err)
		return fmt.Appendf(nil, "%q", time.Now().Add(-d).UTC().Format(time.RFC3339))
	})
	var list []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		var one json.RawMessage
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return list
		}
		ts.Check(err)
		u := &unstructured.Unstructured{}
		ts.Check(u.UnmarshalJSON(one)) // keeps whole numbers whole
		u.SetNamespace(worldOf(ts).namespace)
		list = append(list, u)
	}
}

// stamps are times of day in answers for programs.
var stamps = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`)

// passed are lines of progress: how many there are, and when, differs from run
// to run. What they say is tested where they are made.
var passed = regexp.MustCompile(`(?m)^ +[0-9]+\.[0-9]s  .*\n`)
