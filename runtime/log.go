package runtime

import (
	"io"

	"github.com/sirupsen/logrus"
)

// logTo sends what libcontainer has to say, which it says to logrus's global
// logger, to w; nil drops it.
func logTo(w io.Writer) {
	if w == nil {
		w = io.Discard
	} else {
		logrus.SetLevel(logrus.DebugLevel)
	}
	logrus.SetOutput(w)
}
