package backup

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

var update = flag.Bool("update", false, "write the golden file")

var at = time.Date(2026, 3, 1, 10, 12, 7, 0, time.UTC)

func web() vps.VPS {
	return vps.VPS{
		Schema: state.Schema, Name: "web", UUID: "9b2f6f0e-1111-4222-8333-444455556666", Created: at, Hostname: "web",
		Template: vps.Template{Name: "debian-12@sha256:aa", Digest: "sha256:aa"}, IDs: vps.IDRange{First: 700000, Size: 65536},
		Frozen:      []vps.Frozen{{ID: "b"}},
		Interfaces:  []vps.Interface{{Name: "eth0", Network: "default"}, {Name: "eth1", Network: "lan"}},
		Credentials: []vps.Credential{{Name: "token", Version: "0123456789abcdef"}},
		Published:   []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}},
	}
}

func held() []state.HeldInterface {
	return []state.HeldInterface{
		{Name: "eth0", Network: "default", MAC: "02:00:00:00:00:01", Addresses: []netip.Addr{netip.MustParseAddr("10.90.0.2")}},
		{Name: "eth1", Network: "lan", MAC: "02:00:00:00:00:02", Addresses: []netip.Addr{}},
	}
}

func document() Document {
	d := Of(web(), held(), at)
	d.Running, d.Started, d.Fitted = true, true, []string{"machine-id"}
	return d
}

// The settings in archives stay readable: these are those that format 1 has.
func TestFormat(t *testing.T) {
	text, err := json.MarshalIndent(document(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "format-1.json")
	if *update {
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	got, unknown, err := Parse(want)
	if err != nil || unknown != "" || !reflect.DeepEqual(got, document()) {
		t.Errorf("%+v, %q, %v", got, unknown, err)
	}
}

// docs/backup-format.md names every key of the document.
func TestKeysAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/backup-format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Document](), reflect.TypeFor[state.HeldInterface]()} {
		for field := range of.Fields() {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !strings.Contains(string(doc), "`"+key+"`") {
				t.Errorf("it does not name `%s`", key)
			}
		}
	}
}

func TestParse(t *testing.T) {
	whole, err := json.Marshal(document())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, words string }{
		{"{", "[", "damaged"},
		{`"format":1`, `"format":0`, "no format"},
		{`"format":1`, `"format":2`, "newer croft"},
		{`"schema":`, `"schema":1`, "newer croft"},
		{`"name":"web"`, `"name":"../web"`, "damaged"},
		{`"uuid":"9`, `"uuid":"","id":"9`, "no UUID"},
	} {
		_, _, err := Parse([]byte(strings.Replace(string(whole), c.old, c.new, 1)))
		if !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s instead of %s: %v", c.new, c.old, err)
		}
	}
	d, unknown, err := Parse([]byte(strings.Replace(string(whole), `"hostname"`, `"color":"red","hostname"`, 1)))
	if err != nil || !strings.Contains(unknown, "color") || !reflect.DeepEqual(d, document()) {
		t.Errorf("of an unknown setting: %+v, %q, %v", d, unknown, err)
	}
}

func TestRestore(t *testing.T) {
	d := document()
	r, err := d.Restore(Choice{})
	if err != nil {
		t.Fatal(err)
	}
	if r.VPS.Name != "web" || r.VPS.UUID != web().UUID || r.VPS.IDs != (vps.IDRange{Size: 65536}) || r.VPS.Frozen != nil || !r.Started || !reflect.DeepEqual(r.Held, held()) {
		t.Errorf("it gets %+v", r)
	}
	if !reflect.DeepEqual(r.Without, []string{"credentials token"}) || r.VPS.Credentials != nil {
		t.Errorf("without %q", r.Without)
	}

	r, err = d.Restore(Choice{Name: "db", Networks: map[string]string{"lan": "other"}})
	if err != nil || r.VPS.Name != "db" || r.VPS.Hostname != "db" || r.VPS.Interfaces[1].Network != "other" || r.Held[1].Network != "other" {
		t.Errorf("with another name and network: %+v, %v", r, err)
	}
	d.VPS.Hostname = "www.example.org"
	if r, err := d.Restore(Choice{Name: "db"}); err != nil || r.VPS.Hostname != "www.example.org" {
		t.Errorf("the host name is %q, %v", r.VPS.Hostname, err)
	}

	if _, err := d.Restore(Choice{Networks: map[string]string{"unknown": "other"}}); !fail.Is(err, fail.Usage) {
		t.Errorf("a network that it does not have: %v", err)
	}
	r, err = d.Restore(Choice{NoNetwork: true})
	if err != nil || r.VPS.Interfaces != nil || r.Held != nil || r.VPS.Published != nil || len(r.Without) != 2 {
		t.Errorf("without networks: %+v, %v", r, err)
	}
	if !reflect.DeepEqual(d.VPS.Interfaces, web().Interfaces) {
		t.Error("the document has changed")
	}
}

// Addresses replace those of the same family.
func TestRestoreWithAddresses(t *testing.T) {
	d := document()
	six := netip.MustParseAddr("fd00::1")
	d.Interfaces[0].Addresses = append(d.Interfaces[0].Addresses, six)
	four, other := netip.MustParseAddr("10.90.0.7"), netip.MustParseAddr("10.20.0.7")
	r, err := d.Restore(Choice{Addresses: []vps.AddAddress{{Address: four}, {Interface: "eth1", Address: other}}})
	if err != nil || !reflect.DeepEqual(r.Held[0].Addresses, []netip.Addr{six, four}) || !reflect.DeepEqual(r.Held[1].Addresses, []netip.Addr{other}) {
		t.Errorf("%+v, %v", r.Held, err)
	}
	if len(d.Interfaces[0].Addresses) != 2 || len(d.Interfaces[1].Addresses) != 0 {
		t.Errorf("the document has changed: %+v", d.Interfaces)
	}
	d.Interfaces = nil // nothing is known of what they had
	r, err = d.Restore(Choice{Addresses: []vps.AddAddress{{Address: four}}})
	if err != nil || len(r.Held) != 1 || r.Held[0].Name != "eth0" || r.Held[0].Network != "default" {
		t.Errorf("%+v, %v", r.Held, err)
	}
	for _, c := range []Choice{{Addresses: []vps.AddAddress{{Interface: "eth7", Address: four}}}, {NoNetwork: true, Addresses: []vps.AddAddress{{Address: four}}}} {
		if _, err := d.Restore(c); !fail.Is(err, fail.Usage) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTemplateName(t *testing.T) {
	valid := func(name string) error {
		if strings.ContainsAny(name, "/:") {
			return fail.New(fail.Usage, "no")
		}
		return nil
	}
	for text, want := range map[string]string{"debian-12": "debian-12", "debian-12@sha256:aa": "debian-12", "a/b:c": "imported"} {
		if got := TemplateName(vps.VPS{Template: vps.Template{Name: text}}, valid); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestOther(t *testing.T) {
	have := held()
	have[1].MAC = "02:00:00:00:00:09"
	if got := Other(held(), have); !reflect.DeepEqual(got, []string{"02:00:00:00:00:02 (now 02:00:00:00:00:09)"}) {
		t.Errorf("%q", got)
	}
}
