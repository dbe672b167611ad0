// Package imageserver is an image server in the format simplestreams, for tests.
package imageserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Product is a product of a server with one version.
type Product struct {
	Name, Aliases                   string
	OS, Release, Variant, Arch      string
	Serial                          string
	Files                           map[string][]byte // by ftype
	WrongDigest, NoCombined, NoSize bool              // what the catalogue says of the files is wrong
}

// A Server is an image server. Its zero value has no products.
type Server struct {
	// Spoil may change an answer; it returns whether it has answered. It may be nil.
	Spoil func(w http.ResponseWriter, req *http.Request, body []byte) bool
	// Sign signs a document of the catalogue in place (.sjson) or beside it (.gpg); nil leaves
	// the document out.
	Sign func(kind string, text []byte) []byte

	mu    sync.Mutex
	files map[string][]byte
	asked []string
}

// Serve makes the server publish these products, instead of those before.
func (s *Server) Serve(all ...Product) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = map[string][]byte{}
	catalogue := map[string]any{}
	var names []string
	for _, p := range all {
		items := map[string]any{}
		for ftype, content := range p.Files {
			path := fmt.Sprintf("images/%s/%s/%s", strings.ReplaceAll(p.Name, ":", "/"), p.Serial, ftype)
			s.files["/"+path] = content
			item := map[string]any{"ftype": ftype, "path": path, "sha256": hexSum(content), "size": len(content)}
			if p.WrongDigest {
				item["sha256"] = hexSum([]byte("other"))
			}
			if p.NoSize {
				delete(item, "size")
			}
			if root := p.Files["root.tar.xz"]; strings.HasSuffix(ftype, "s.tar.xz") || ftype == "lxd.tar.xz" {
				if !p.NoCombined {
					item["combined_rootxz_sha256"] = hexSum(content, root)
					item["combined_squashfs_sha256"] = hexSum(content, p.Files["squashfs"])
				}
			}
			items[ftype] = item
		}
		versions := map[string]any{p.Serial: map[string]any{"items": items}}
		if old, ok := catalogue[p.Name].(map[string]any); ok {
			old["versions"].(map[string]any)[p.Serial] = versions[p.Serial]
			continue
		}
		catalogue[p.Name] = map[string]any{"aliases": p.Aliases, "arch": p.Arch, "os": p.OS, "release": p.Release, "variant": p.Variant, "versions": versions}
		names = append(names, p.Name)
	}
	s.document("streams/v1/images.json", map[string]any{"format": "products:1.0", "datatype": "image-downloads", "products": catalogue})
	s.document("streams/v1/index.json", map[string]any{"format": "index:1.0", "index": map[string]any{
		"images": map[string]any{"datatype": "image-downloads", "path": "streams/v1/images.json", "format": "products:1.0", "products": names},
		"others": map[string]any{"datatype": "image-ids", "path": "streams/v1/ids.json", "products": names},
	}})
}

func hexSum(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *Server) document(path string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings and numbers are in it
	}
	s.files["/"+path] = text
	if s.Sign == nil {
		return
	}
	for _, kind := range []string{".sjson", ".gpg"} {
		if signed := s.Sign(kind, text); signed != nil && kind == ".sjson" {
			s.files["/"+strings.TrimSuffix(path, ".json")+kind] = signed
		} else if signed != nil {
			s.files["/"+path+kind] = signed
		}
	}
}

// Asked returns the requests since the last call: the path, the range, and the status 304.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// ServeHTTP answers with a file, a part of it, or 304 if the client has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	body, ok := s.files[req.URL.Path]
	said := strings.TrimSpace(req.URL.Path + " " + req.Header.Get("Range"))
	tag := `"` + hexSum(body) + `"`
	if ok && req.Header.Get("If-None-Match") == tag {
		said += " 304"
	}
	s.asked = append(s.asked, said)
	spoil := s.Spoil
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	if spoil != nil && spoil(w, req, body) {
		return
	}
	w.Header().Set("ETag", tag)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
}
