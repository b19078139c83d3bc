package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/wire"
)

// connection is how a verb reaches a cluster; names of flags are those of
// kubectl and flux.
type connection struct {
	kubeconfig string
	context    string
	namespace  string
	all        bool // namespaces
}

// register adds the flags. Verbs that may look at all namespaces get -A.
func (f *connection) register(c *cobra.Command, std IO, everywhere bool) {
	namespace := std.Getenv("FLUX_SYSTEM_NAMESPACE")
	if namespace == "" {
		namespace = "flux-system"
	}
	flags := c.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig to connect with; otherwise KUBECONFIG")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig; otherwise its current one")
	flags.StringVarP(&f.namespace, "namespace", "n", namespace, "namespace to look in")
	_ = c.RegisterFlagCompletionFunc("namespace", f.completeNamespaces(std))
	_ = c.RegisterFlagCompletionFunc("context", f.completeContexts)
	if everywhere {
		flags.BoolVarP(&f.all, "all-namespaces", "A", false, "look in all namespaces")
	}
}

// scope is the namespace to look in; empty is all.
func (f *connection) scope() string {
	if f.all {
		return ""
	}
	return f.namespace
}

// where is the scope in a sentence.
func (f *connection) where() string {
	if f.all {
		return "in any namespace"
	}
	return "in namespace " + f.namespace
}

func (f *connection) rules() *clientcmd.ClientConfigLoadingRules {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	return rules
}

// config reads the kubeconfig. Requests are not slowed down here: the API server
// has its own fairness.
func (f *connection) config(std IO) (*rest.Config, error) {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: f.context}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(f.rules(), overrides).ClientConfig()
	if err != nil {
		return nil, &Problem{Code: NotFound, What: "no cluster to connect to", Why: err, Do: []string{"pass --kubeconfig FILE, or set KUBECONFIG"}}
	}
	config.QPS = -1
	config.UserAgent = "sluice/" + std.Version
	config.WarningHandler = rest.NoWarnings{} // about Flux's API, which is not ours to change
	return config, nil
}

// open makes a client that can watch.
func (f *connection) open(std IO) (client.WithWatch, error) {
	config, err := f.config(std)
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: wire.Scheme()})
	if err != nil {
		return nil, clusterProblem("connecting to the cluster failed", err)
	}
	return c, nil
}

// answerTime bounds a question that is answered at once or not at all.
const answerTime = 30 * time.Second

// brief gives a context for such a question.
func brief(c *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.Context(), answerTime, fmt.Errorf("no answer within %s", answerTime))
}

// clusterProblem explains what an API server said.
func clusterProblem(what string, err error) *Problem {
	var known *Problem
	if errors.As(err, &known) {
		return known
	}
	p := &Problem{Code: Negative, What: what, Why: err}
	var op *net.OpError
	switch {
	case apimeta.IsNoMatchError(err):
		p.Code = NotFound
		p.Do = []string{"check that this is the right cluster: kubectl config current-context", "install Flux's CRDs in it"}
	case apierrors.IsNotFound(err):
		p.Code = NotFound
	case apierrors.IsForbidden(err):
		p.Code = NotAllowed
		p.Do = []string{"ask for the right to do this: kubectl auth can-i --list shows those that you have"}
	case apierrors.IsUnauthorized(err):
		p.Code = NotAllowed
		p.Do = []string{"renew the credentials of the kubeconfig"}
	case apierrors.IsConflict(err):
		p.Code = Conflict
		p.Do = []string{"try again"}
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err), apierrors.IsTimeout(err):
		p.Code = TimedOut
		p.Do = []string{"try again"}
	case errors.As(err, &op):
		p.Do = []string{"check that the cluster runs, and --kubeconfig and --context"}
	}
	return p
}

// named is an object as arguments name it: KIND/NAME, or NAME alone.
type named struct{ kind, name string }

// kindWords are the words for kinds, those of kubectl and flux among them.
var kindWords = map[string]string{
	"kustomization": "Kustomization", "kustomizations": "Kustomization", "ks": "Kustomization",
	"oci": "OCIRepository", "ocirepository": "OCIRepository", "ocirepositories": "OCIRepository", "ocirepo": "OCIRepository",
	"git": "GitRepository", "gitrepository": "GitRepository", "gitrepositories": "GitRepository", "gitrepo": "GitRepository",
	"bucket": "Bucket", "buckets": "Bucket",
	"external": "ExternalArtifact", "externalartifact": "ExternalArtifact", "externalartifacts": "ExternalArtifact",
}

// parseNamed reads what `get -o name` prints too: a kind may have its group.
func parseNamed(text string) (named, bool) {
	word, name, found := strings.Cut(text, "/")
	if !found {
		return named{name: text}, text != ""
	}
	word, _, _ = strings.Cut(word, ".")
	kind := kindWords[strings.ToLower(word)]
	return named{kind, name}, kind != "" && name != ""
}
