//go:build integration

package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// likeUbuntu is what a test asks the outer process for: a template of a recipe for Ubuntu
// whose archive has the packages of the host's Debian, signed by a key of the tests.
const likeUbuntu = "like-ubuntu"

// A resigned archive is another one with the signatures of a key of the tests.
type resigned struct {
	upstream, suite string
	key             *openpgp.Entity
}

// hostsArchive returns the archive of the host's Debian, and its suite.
func hostsArchive() (url, suite string, err error) {
	out, err := exec.Command("apt-get", "--print-uris", "update").Output()
	if err != nil {
		return "", "", fmt.Errorf("apt-get --print-uris update: %w", err)
	}
	m := regexp.MustCompile(`'(\S+/debian)/dists/([a-z]+)/InRelease'`).FindSubmatch(out)
	if m == nil {
		return "", "", fmt.Errorf("apt knows no archive of Debian:\n%s", out)
	}
	return string(m[1]), string(m[2]), nil
}

// ServeHTTP has the suite signed by the key, and empty security updates. Ubuntu has both in
// one archive.
func (a resigned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/debian")
	switch suite, file, _ := strings.Cut(strings.TrimPrefix(path, "/dists/"), "/"); {
	case file == "InRelease" && suite == a.suite+"-security":
		empty := fmt.Sprintf("%x", sha256.Sum256(nil))
		now := time.Now().UTC().Format(time.RFC1123)
		a.sign(w, "Origin: x\nSuite: "+suite+"\nCodename: "+suite+"\nDate: "+strings.Replace(now, "UTC", "+0000", 1)+"\nArchitectures: amd64 arm64\nComponents: main\nSHA256:\n "+
			empty+" 0 main/binary-amd64/Packages\n "+empty+" 0 main/binary-arm64/Packages\n")
	case suite == a.suite+"-security":
		if !strings.HasSuffix(file, "/Packages") {
			http.NotFound(w, r)
		}
	case file == "InRelease":
		body, err := a.get(strings.TrimSuffix(path, "InRelease") + "Release")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer body.Close()
		text, _ := io.ReadAll(body)
		a.sign(w, string(text))
	default:
		body, err := a.get(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer body.Close()
		io.Copy(w, body)
	}
}

func (a resigned) get(path string) (io.ReadCloser, error) {
	answer, err := http.Get(a.upstream + path)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return answer.Body, nil
}

// sign writes text with a signature. An archive that has expired is not what is tested.
func (a resigned) sign(w io.Writer, text string) {
	text = regexp.MustCompile(`(?m)^Valid-Until: .*\n`).ReplaceAllString(text, "")
	plain, err := clearsign.Encode(w, a.key.PrivateKey, nil)
	if err == nil {
		_, err = io.WriteString(plain, text)
	}
	if err == nil {
		err = plain.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration: sign a Release file:", err)
	}
}

func armored(key *openpgp.Entity) (string, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = key.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	return b.String(), err
}

// buildLikeUbuntu builds the template. Before that it builds with another key, which must fail.
func (c *cache) buildLikeUbuntu() error {
	upstream, suite, err := hostsArchive()
	if err != nil {
		return err
	}
	var keys []*openpgp.Entity
	for range 2 {
		k, err := openpgp.NewEntity("croft's tests", "", "test@example.org", nil)
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.Server{Handler: resigned{upstream, suite, keys[0]}}
	go server.Serve(l)
	defer server.Close()
	file := filepath.Join(filepath.Dir(c.root), likeUbuntu+".yaml")
	defer os.Remove(file)
	build := func(key *openpgp.Entity) ([]byte, error) {
		public, err := armored(key)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("extends: debian\ndistribution: ubuntu\nrelease: \"1\"\nsuite: %s\nreleased: 2025-01-01\ninit: systemd\nmirror: http://%s/debian\npackages: [systemd-sysv, libpam-systemd]\nkey: %s",
			suite, l.Addr(), indented(public))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		return c.run("template", "build", likeUbuntu, "--recipe", file)
	}
	if out, err := build(keys[1]); err == nil || !strings.Contains(string(out), "only the key or the keyring of the recipe may sign") {
		return fmt.Errorf("a build with a wrong key: %v\n%s", err, out)
	}
	if out, err := build(keys[0]); err != nil {
		return fmt.Errorf("croft template build %s: %w\n%s", likeUbuntu, err, out)
	}
	return nil
}

// A recipe for Ubuntu has its own keys and its own mirror, with the updates of the release
// there: its template boots.
func TestRecipeOfUbuntu(t *testing.T) {
	if _, _, err := hostsArchive(); err != nil {
		t.Skipf("this host has no packages of Debian: %v", err)
	}
	hostAsBefore(t)
	needs(t, likeUbuntu)
	vps := boot(t, likeUbuntu)
	bootedClean(t, vps, likeUbuntu)
	list := sh(t, vps, "cat /etc/apt/sources.list")
	for _, suite := range []string{"[a-z]+", "[a-z]+-updates", "[a-z]+-security"} {
		if !regexp.MustCompile(`(?m)^deb http://127\.0\.0\.1:\d+/debian ` + suite + ` main$`).MatchString(list) {
			t.Errorf("no %s in\n%s", suite, list)
		}
	}
	must(t, "stop", vps)
}
