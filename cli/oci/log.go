package oci

import (
	"errors"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
)

// openLog sends all messages, also those of libcontainer, to the file of --log in
// the format of --log-format. The file stays open until the end.
func (p *program) openLog() error {
	if p.globalIs("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.SetFormatter(quiet{new(logrus.TextFormatter)})
	switch format := p.global("log-format"); format {
	case "", "text":
	case "json":
		logrus.SetFormatter(quiet{new(logrus.JSONFormatter)}) // keys level, msg and time
	default:
		return errors.New("invalid log-format: " + format)
	}
	name := p.global("log")
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o644)
	if err != nil {
		return err
	}
	logrus.SetOutput(f)
	return nil
}

// quiet drops the message that libcontainer does not save a hook which is a Go
// function: croft expects that.
type quiet struct{ logrus.Formatter }

func (q quiet) Format(e *logrus.Entry) ([]byte, error) {
	if strings.HasPrefix(e.Message, "cannot serialize hook of type configs.FuncHook") {
		return nil, nil
	}
	return q.Formatter.Format(e)
}
