package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A row is one thing that croft and others do.
type row struct {
	name, what string
	target     float64 // what the ratio to the first peer should be less than, or 0
	sides      []side  // croft's first

	// A row with together has peers, croft's first, instead of sides.
	peers    []string
	together func(ctx context.Context, b *bench) (together, error)
}

// A side is one way to do it.
type side struct {
	peer string
	// open prepares all turns. Its error is why the side does not take part.
	open func(ctx context.Context, b *bench) (runner, error)
}

// A runner takes turns until it is closed.
type runner struct {
	turn  func(context.Context) (sample, error)
	close func(context.Context) error // nil: nothing to close
}

// A together measures all peers of a row in one turn: they are stages of the same thing.
type together struct {
	turn  func(context.Context) ([]sample, error)
	close func(context.Context) error
}

// compareTogether measures a row whose peers take no turns.
func (b *bench) compareTogether(ctx context.Context, r row, rounds int) comparison {
	c := comparison{Row: r.name, What: r.what, Target: r.target}
	for _, peer := range r.peers {
		c.Outcomes = append(c.Outcomes, outcome{Peer: peer})
	}
	t, err := r.together(ctx, b)
	for round := 0; round <= rounds && err == nil; round++ {
		say("%s: round %d of %d", r.name, round, rounds)
		var samples []sample
		if samples, err = t.turn(ctx); err == nil && round > 0 {
			for i, s := range samples {
				c.Outcomes[i].Samples = append(c.Outcomes[i].Samples, s)
			}
		}
	}
	if t.close != nil {
		err = errors.Join(err, t.close(ctx))
	}
	if err != nil {
		c.Outcomes[0].fail(err)
	}
	return c
}

// compare measures a row. A side that fails takes no more turns; its error is in its outcome.
func (b *bench) compare(ctx context.Context, r row, rounds int) comparison {
	if r.together != nil {
		return b.compareTogether(ctx, r, rounds)
	}
	c := comparison{Row: r.name, What: r.what, Target: r.target}
	runners := make([]runner, len(r.sides))
	for i, s := range r.sides {
		c.Outcomes = append(c.Outcomes, outcome{Peer: s.peer})
		var err error
		if runners[i], err = s.open(ctx, b); err != nil {
			c.Outcomes[i].fail(err)
		}
	}
	for _, t := range turns(len(r.sides), rounds) {
		o := &c.Outcomes[t.side]
		if o.Error != "" || ctx.Err() != nil {
			continue
		}
		if t.side == 0 {
			say("%s: round %d of %d", r.name, t.round, rounds)
		}
		s, err := runners[t.side].turn(ctx)
		switch {
		case err != nil:
			o.fail(err)
		case t.round > 0:
			o.Samples = append(o.Samples, s)
		}
	}
	for i, s := range runners {
		if s.close == nil {
			continue
		}
		if err := s.close(context.WithoutCancel(ctx)); err != nil {
			c.Outcomes[i].fail(fmt.Errorf("clean up: %w", err))
		}
	}
	return c
}

func (o *outcome) fail(err error) {
	if o.Error != "" {
		o.Error += "; "
	}
	o.Error += strings.Join(strings.Fields(err.Error()), " ")
}

// closeAll calls functions in reverse order, and joins their errors.
func closeAll(all []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var errs []error
		for i := len(all) - 1; i >= 0; i-- {
			errs = append(errs, all[i](ctx))
		}
		return errors.Join(errs...)
	}
}
