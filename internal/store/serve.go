package store

import (
	"net/http"
	"os"
	"path"
	"strings"
)

// Handler serves the published files as Flux's artifact server does
// (fluxcd/pkg/artifact server/fileserver.go): GET and HEAD, ranges,
// conditional requests. Unlike it, it lists no directories and shows nothing
// but what sources publish.
func (s *Store) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		root, err := os.OpenRoot(s.root)
		if err != nil {
			http.Error(w, "the artifact store cannot be opened", http.StatusInternalServerError)
			return
		}
		defer root.Close()
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if strings.Count(name, "/") != 3 || strings.HasPrefix(name, ".") {
			http.NotFound(w, r)
			return
		}
		f, err := root.Open(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/gzip")
		http.ServeContent(w, r, "", info.ModTime(), f)
	})
}
