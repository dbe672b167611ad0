package container

import (
	"github.com/sirupsen/logrus"

	"croft/internal/trace"
)

// Trace adds what libcontainer logs to the trace of this process, also what its processes
// inside log: these cannot write the trace themselves. What is logged apart from that stays as
// it is. No-op without a trace.
func Trace() {
	if !trace.On() {
		return
	}
	logger := logrus.StandardLogger()
	logger.AddHook(toTrace{})
	logger.SetFormatter(upTo{logger.GetLevel(), logger.Formatter})
	logger.SetLevel(logrus.DebugLevel)
}

// toTrace is a hook of logrus.
type toTrace struct{}

func (toTrace) Levels() []logrus.Level { return logrus.AllLevels }

func (toTrace) Fire(e *logrus.Entry) error {
	trace.Instant("libcontainer:", e.Message)
	return nil
}

// upTo formats nothing of a lower level than the one that was set without a trace.
type upTo struct {
	level logrus.Level
	logrus.Formatter
}

func (f upTo) Format(e *logrus.Entry) ([]byte, error) {
	if e.Level > f.level {
		return nil, nil
	}
	return f.Formatter.Format(e)
}
