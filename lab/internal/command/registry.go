package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"

	"github.com/sluice-dev/sluice/lab/internal/foreground"
	"github.com/sluice-dev/sluice/lab/internal/registry"
)

func serveRegistry(args []string, stdin io.Reader, stdout io.Writer) error {
	var notify []string
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	dir := flags.String("dir", "", "")
	addr := flags.String("addr", "127.0.0.1:0", "")
	token := flags.String("notify-token", "", "")
	line := flags.Bool("lifeline", false, "")
	flags.Func("notify", "", func(text string) error {
		target, err := url.Parse(text)
		if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
			return errors.New("must be an http or https URL")
		}
		notify = append(notify, text)
		return nil
	})
	if help, err := parse(flags, args, stdout); help || err != nil {
		return err
	}
	if *dir == "" {
		return misuse{errors.New("registry: --dir is required")}
	}
	serve := func(ctx context.Context, owner *foreground.Owner) error {
		server, err := registry.Start(registry.Options{Dir: owner.Dir, Addr: *addr, Notify: notify, NotifyToken: *token})
		if err != nil {
			return err
		}
		defer server.Stop()
		if err := owner.Ready(map[string]string{"addr": server.Addr}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-server.Ended:
			return fmt.Errorf("serving the registry on %s: %w", server.Addr, err)
		}
	}
	return foreground.Run(serve, foreground.Options{Dir: *dir, Lifeline: lifeline(*line, stdin), Stdout: stdout})
}
