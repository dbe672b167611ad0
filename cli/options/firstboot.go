package options

import (
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// FirstBootAbout is the help for verbs with these options.
const FirstBootAbout = `--first-boot runs SCRIPT once as root inside, when the VPS has booted next. Its first
line may name an interpreter (#!/bin/bash); otherwise /bin/sh runs it. "croft logs" has
its output. "start --wait" waits for it, and fails with status 11 if it fails; "croft
status" and "croft inspect" show that too.`

// noFirstBoot is the SCRIPT that withdraws one.
const noFirstBoot = "none"

// ReadFirstBoot reads the script that the option names; nil is none.
func ReadFirstBoot(i *command.Invocation) ([]byte, error) {
	name := command.Get(i, "first-boot", values.File)
	if name == "" || name == noFirstBoot || i.Err != nil {
		return nil, i.Err
	}
	script, err := readInput(i, "--first-boot", name)
	if err != nil {
		return nil, err
	}
	if err := vps.CheckFirstBoot(script); err != nil {
		return nil, command.UsageError("--first-boot %s: %w", name, err)
	}
	return script, nil
}
