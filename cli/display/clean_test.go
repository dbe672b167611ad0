package display

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var dirty = map[string]string{
	"plain\ttext\n":                            "plain\ttext\n",
	"Grüße, 日本語, 🙂\n":                          "Grüße, 日本語, 🙂\n",
	"[\x1b[0;1;32m  OK  \x1b[0m] up\r\n":       "[  OK  ] up\n",
	"a\x1b]0;title\x07b":                       "ab",
	"a\x1b]52;c;aGk=\x1b\\b":                   "ab",
	"a\x1bP$q\"p\x1b\\b":                       "ab",
	"a\x1b_x\x1b\\b\x1b^y\x1b\\c\x1bXz\x1b\\d": "abcd",
	"a\u009b31mb\u009d0;t\u009cc":              "abc",
	"a\x1b(Bb\x1b#8c\x1bcd":                    "abcd",
	"hide\rme\n":                               "hide\nme\n",
	"a\r\nb\r":                                 "a\nb",
	"bell\x07 back\b nul\x00 del\x7f":          "bell back nul del",
	"\x1b]0;no end\nnext":                      "\nnext",
	"\x1b[31\nnext":                            "\nnext",
	"\x1b\x1b[31mx":                            "x",
	"bad\xff\xc3":                              "bad\ufffd\ufffd",
	"8bit\x9b31m":                              "8bit\ufffd31m",
	"abc\u202edef\u2066":                       "abcdef",
}

func TestClean(t *testing.T) {
	for text, want := range dirty {
		if got := clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
		// However it is cut into pieces, the same comes out.
		var out strings.Builder
		c := NewCleaner(&out)
		for i := range len(text) {
			if n, err := c.Write([]byte(text[i : i+1])); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if got := out.String(); got != strings.TrimSuffix(want, "\ufffd") && got != want {
			t.Errorf("%q in bytes became %q, want %q", text, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for text := range dirty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if !utf8.ValidString(got) {
			t.Fatalf("%q became %q", text, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("%q became %q, with %q", text, got, r)
			}
		}
		if again := clean(got); again != got {
			t.Fatalf("%q became %q, and that %q", text, got, again)
		}
	})
}

// JSON on a terminal controls it no more than text does, and holds the same.
func TestJSONIsClean(t *testing.T) {
	text, err := JSON(map[string]string{"k": "a\x1b[31m\u009b1m\x7f\u202eé<&>"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"k\": \"a\\u001b[31m\\u009b1m\\u007f\\u202eé<&>\"\n}\n"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
