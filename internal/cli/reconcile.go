package cli

import (
	"context"
	"fmt"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/report"
)

type reconcileFlags struct {
	connection
	timeout    time.Duration
	withSource bool
}

func newReconcile(std IO) *cobra.Command {
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "Look at a source or a Kustomization now, and wait for what comes of it",
		Long: `Ask the controller to look at a source or a Kustomization now, wait until it has,
and print the revision. Progress is on stderr.

The exit code is 1 if it failed, 5 if it did not end in time, and 7 if the
object is suspended.`,
		Args: subcommandOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var f reconcileFlags
	ks := f.verb(std, "kustomization NAME", kustomizev1.KustomizationKind)
	ks.Aliases = []string{"ks"}
	ks.Flags().BoolVar(&f.withSource, "with-source", false, "let the source look first, and wait for its revision to arrive")
	ks.Example = "  sluice reconcile kustomization apiserver -n activity-system --with-source"
	source := &cobra.Command{
		Use: "source", Short: "Look at a source now", Args: subcommandOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, s := range actSources {
		var f reconcileFlags
		source.AddCommand(f.verb(std, s.word+" NAME", s.kind))
	}
	c.AddCommand(source, ks)
	return c
}

// actSources are the sources that can be told to do something.
var actSources = []struct{ word, kind string }{{"oci", "OCIRepository"}, {"git", "GitRepository"}}

func subcommandOnly(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage(c, fmt.Sprintf("%s needs to know of what kind: %s", verb(c), subcommands(c)))
	}
	return usage(c, fmt.Sprintf("%s does not know %q; want %s", verb(c), args[0], subcommands(c)))
}

func (f *reconcileFlags) verb(std IO, use, kind string) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: "Look at " + article(kind) + " now", Args: oneArg("NAME"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, std, kind, args[0]) },
	}
	f.register(c, std, false)
	timeoutFlag(c, &f.timeout)
	c.ValidArgsFunction = f.completeNames(std, 1, func(args []string) (kinds, names, words []string) { return []string{kind}, args, nil })
	return c
}

func timeoutFlag(c *cobra.Command, timeout *time.Duration) {
	c.Flags().DurationVar(timeout, "timeout", 5*time.Minute, "how long to wait")
}

// within bounds a verb that waits.
func within(c *cobra.Command, timeout time.Duration) (context.Context, context.CancelFunc, error) {
	if timeout <= 0 {
		return nil, nil, usage(c, fmt.Sprintf("--timeout %s: want a time above 0, for example 30s", timeout))
	}
	ctx, cancel := context.WithTimeoutCause(c.Context(), timeout, errTime{timeout})
	return ctx, cancel, nil
}

func (f *reconcileFlags) run(c *cobra.Command, std IO, kind, arg string) error {
	key, err := f.object(c, kind, arg)
	if err != nil {
		return err
	}
	ctx, cancel, err := within(c, f.timeout)
	if err != nil {
		return err
	}
	defer cancel()
	kube, err := f.open(std)
	if err != nil {
		return err
	}
	a := actor{client: kube, std: std, timeout: f.timeout}
	obj, err := a.read(ctx, kind, key)
	if err != nil {
		return err
	}
	if err := active(kind, obj); err != nil {
		return err
	}
	goal := goal{handled: stamp()}
	if ks, ok := obj.(*kustomizev1.Kustomization); ok && f.withSource {
		if goal.revision, err = a.sourceFirst(ctx, ks, goal.handled); err != nil {
			return err
		}
	}
	row, err := a.request(ctx, kind, key, goal)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.Out, row.Revision)
	return err
}

// object reads the argument of a verb about an object of one kind.
func (f *connection) object(c *cobra.Command, kind, arg string) (types.NamespacedName, error) {
	n, ok := parseNamed(arg)
	if !ok || n.kind != "" && n.kind != kind {
		return types.NamespacedName{}, usage(c, fmt.Sprintf("%q names no %s; want its name", arg, kind))
	}
	return types.NamespacedName{Namespace: f.namespace, Name: n.name}, nil
}

// stamp is what a request is known by (flux2 cmd/flux/reconcile.go).
func stamp() string { return time.Now().Format(time.RFC3339Nano) }

// active: nobody looks at a suspended object.
func active(kind string, obj client.Object) error {
	row := report.RowOf(kind, obj)
	if row.State != report.Suspended {
		return nil
	}
	p := &Problem{
		Code: Conflict, What: fmt.Sprintf("%s %s/%s is suspended", kind, row.Namespace, row.Name),
		Next: "nothing, until it is resumed", Do: []string{resumeCommand(kind, row)},
	}
	if row.SuspendReason != "" {
		p.Why = fmt.Errorf("%s", row.SuspendReason)
	}
	return p
}

func resumeCommand(kind string, row report.Row) string {
	return fmt.Sprintf("sluice resume %s %s -n %s", verbWord(kind), row.Name, row.Namespace)
}

// verbWord is what follows reconcile, suspend and resume for a kind.
func verbWord(kind string) string {
	for _, s := range actSources {
		if s.kind == kind {
			return "source " + s.word
		}
	}
	return "kustomization"
}

// sourceFirst lets the source of a Kustomization look, and gives the revision
// that it has then.
func (a actor) sourceFirst(ctx context.Context, ks *kustomizev1.Kustomization, stamp string) (string, error) {
	ref := report.SourceOf(ks)
	source, err := a.read(ctx, ref.Kind, ref.NamespacedName)
	if err != nil {
		return "", err
	}
	if err := active(ref.Kind, source); err != nil {
		return "", err
	}
	if ref.Kind == "ExternalArtifact" {
		fmt.Fprintf(a.std.Err, "%s is made by others: its controller cannot be asked\n", ref)
		return report.RowOf(ref.Kind, source).Revision, nil
	}
	row, err := a.request(ctx, ref.Kind, ref.NamespacedName, goal{handled: stamp})
	return row.Revision, err
}

// request annotates an object and waits for what comes of it.
func (a actor) request(ctx context.Context, kind string, key types.NamespacedName, g goal) (report.Row, error) {
	obj := report.New(kind)
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, meta.ReconcileRequestAnnotation, g.handled)
	if err := a.client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("sluice")); err != nil {
		return report.Row{}, clusterProblem(fmt.Sprintf("requesting a look at %s %s failed", kind, key), ended(ctx, err))
	}
	return a.await(ctx, kind, key, g)
}
