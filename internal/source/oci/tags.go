package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

// tagList remembers a complete list that came in one page with an ETag, so
// that an unchanged list costs a 304.
type tagList struct {
	mu   sync.Mutex
	etag string
	tags []string
}

// Bounds of a tag list. A repository that gains three tags a push reaches the
// first after a million pushes.
const (
	tagsPerPage   = 1000
	maxTagPages   = 3000
	maxPageBytes  = 8 << 20
	maxErrorBytes = 64 << 10
)

// listTags reads all pages (OCI distribution specification, "Listing tags").
func (c *Client) listTags(ctx context.Context) ([]string, error) {
	ctx = c.scoped(ctx)
	plain, err := c.session.isPlain(ctx)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if plain {
		scheme = "http"
	}
	first := &url.URL{
		Scheme: scheme, Host: apiHost(c.repo.Host), Path: "/v2/" + c.repo.Path + "/tags/list",
		RawQuery: fmt.Sprintf("n=%d", tagsPerPage),
	}
	c.etag.mu.Lock()
	defer c.etag.mu.Unlock()
	var tags []string
	for page, next := 0, first; next != nil; page++ {
		if page == maxTagPages {
			return nil, fmt.Errorf("the list of tags has more than %d pages", maxTagPages)
		}
		answer, err := c.tagPage(ctx, next, page == 0)
		if err != nil {
			return nil, err
		}
		if answer.unchanged {
			return slices.Clone(c.etag.tags), nil
		}
		tags = append(tags, answer.tags...)
		if page == 0 && answer.next == nil {
			c.etag.etag, c.etag.tags = answer.etag, slices.Clone(answer.tags)
		}
		next = answer.next
	}
	return tags, nil
}

type tagPage struct {
	tags      []string
	etag      string
	next      *url.URL
	unchanged bool
}

func (c *Client) tagPage(ctx context.Context, at *url.URL, conditional bool) (tagPage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return tagPage{}, err
	}
	if conditional && c.etag.etag != "" {
		req.Header.Set("If-None-Match", c.etag.etag)
	}
	resp, err := c.session.client(c.repo).Do(req)
	if err != nil {
		return tagPage{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && conditional:
		return tagPage{unchanged: true}, nil
	case resp.StatusCode != http.StatusOK:
		return tagPage{}, errorOf(resp)
	}
	page := tagPage{etag: resp.Header.Get("ETag")}
	var body struct{ Tags []string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxPageBytes)).Decode(&body); err != nil {
		return tagPage{}, fmt.Errorf("the list of tags cannot be read: %w", err)
	}
	page.tags = body.Tags
	page.next, err = nextPage(resp.Header.Values("Link"), at)
	return page, err
}

// nextPage reads the Link header (RFC 8288). The next page must be on the same
// origin: the token must not follow a list elsewhere.
func nextPage(links []string, at *url.URL) (*url.URL, error) {
	for _, header := range links {
		for link := range strings.SplitSeq(header, ",") {
			target, params, found := strings.Cut(strings.TrimSpace(link), ">")
			if !found || !strings.HasPrefix(target, "<") || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
				continue
			}
			next, err := at.Parse(target[1:])
			if err != nil {
				return nil, fmt.Errorf("the link to the next page of tags cannot be read: %w", err)
			}
			if next.Host != at.Host || next.Scheme != at.Scheme {
				return nil, fmt.Errorf("the next page of tags is on another host, %s", next.Host)
			}
			if next.String() == at.String() {
				return nil, fmt.Errorf("the list of tags links to itself")
			}
			return next, nil
		}
	}
	return nil, nil
}

// errorOf reads an error answer in the form of the specification; what is not
// in that form counts by its status alone.
func errorOf(resp *http.Response) error {
	failed := &errcode.ErrorResponse{Method: resp.Request.Method, URL: resp.Request.URL, StatusCode: resp.StatusCode}
	var body struct{ Errors errcode.Errors }
	if text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)); err == nil && json.Unmarshal(text, &body) == nil {
		failed.Errors = body.Errors
	}
	return failed
}
