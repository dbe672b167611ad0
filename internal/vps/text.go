package vps

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"croft/internal/fail"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// CheckHostname returns an error for text that is not a host name (RFC 1123
// section 2.1), or that the kernel does not take because it has more than 64
// bytes (HOST_NAME_MAX).
func CheckHostname(s string) error {
	if len(s) > 64 || !IsDomain(s) {
		return fmt.Errorf("invalid host name %q", s)
	}
	return nil
}

// CheckSearchDomain returns an error for text that is not a domain to search in
// resolv.conf; "." turns the search off.
func CheckSearchDomain(s string) error {
	if s != "." && (len(s) > 253 || !IsDomain(strings.TrimSuffix(s, "."))) {
		return fmt.Errorf("invalid domain %q", s)
	}
	return nil
}

// IsDomain reports whether s is labels of letters, digits and '-' with dots
// between them.
func IsDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters+"0123456789-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// CheckEnv returns an error for text that is not NAME=VALUE of the environment
// of a process.
func CheckEnv(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.Trim(name, letters+"0123456789_") != "" || name[0] >= '0' && name[0] <= '9' ||
		strings.ContainsRune(value, 0) {
		return fmt.Errorf("invalid variable %q: use NAME=VALUE", s)
	}
	return nil
}

// CheckLabel returns an error for an invalid key or value of a label.
func CheckLabel(key, value string) error {
	if key == "" || strings.Trim(key, letters+"0123456789._-/") != "" || strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("invalid label %q: use KEY=VALUE", key+"="+value)
	}
	return nil
}

// MaxDescription is the length of the longest description of a VPS, in bytes.
const MaxDescription = 1024

// CheckDescription returns an error for a description that is not one line of text.
func CheckDescription(s string) error {
	if len(s) > MaxDescription || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("invalid description: use one line of at most %d bytes", MaxDescription)
	}
	return nil
}

// checkTexts checks the host name, the description, the environment and the labels.
func (v VPS) checkTexts() error {
	if err := CheckDescription(v.Description); err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	if err := CheckHostname(v.Hostname); err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	for _, s := range v.Env {
		if err := CheckEnv(s); err != nil {
			return fail.New(fail.Usage, "%w", err)
		}
	}
	for key, value := range v.Labels {
		if err := CheckLabel(key, value); err != nil {
			return fail.New(fail.Usage, "%w", err)
		}
	}
	return nil
}
