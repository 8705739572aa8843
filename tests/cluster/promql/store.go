package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Target holds what one endpoint answered, in the order of the times.
type Target struct {
	Labels  map[string]string `json:"labels"`
	Scrapes []Scrape          `json:"scrapes"`
}

// Scrape holds one answer.
type Scrape struct {
	AtS         int64  `json:"at_s"`
	ContentType string `json:"content_type"`
	// Text is nil where the target did not answer, which `up` shows as 0.
	Text *string `json:"text"`
	// Gone says that the target is no longer known, so that `up` ends as well.
	Gone bool `json:"gone"`
}

// series holds the samples of one series, and whether its last one is an end.
type series struct {
	labels  labels.Labels
	samples []chunks.Sample
	ended   bool
}

// held holds all series by their labels' hash.
type held map[uint64]*series

func store(targets []Target) (held, error) {
	all := held{}
	for _, target := range targets {
		own := map[uint64]bool{}
		for _, scrape := range target.Scrapes {
			if err := all.scraped(target.Labels, own, scrape); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// scraped adds what a scrape brought, and ends what it lacks, as Prometheus does.
func (all held) scraped(of map[string]string, own map[uint64]bool, scrape Scrape) error {
	at := at(scrape.AtS).UnixMilli()
	fresh := map[uint64]bool{}
	add := func(named labels.Labels, number float64) {
		builder := labels.NewBuilder(named)
		for label, value := range of {
			builder.Set(label, value)
		}
		full := builder.Labels()
		key := full.Hash()
		if all[key] == nil {
			all[key] = &series{labels: full}
		}
		all[key].samples = append(all[key].samples, sample{at, number})
		all[key].ended = false
		fresh[key], own[key] = true, true
	}
	up := 0.0
	if scrape.Text != nil {
		up = 1
		if err := parsed(*scrape.Text, scrape.ContentType, add); err != nil {
			return fmt.Errorf("the scrape of %v at %d s: %w", of, scrape.AtS, err)
		}
	}
	if !scrape.Gone {
		add(labels.FromStrings(labels.MetricName, "up"), up)
	}
	for key := range own {
		if !fresh[key] && !all[key].ended {
			all[key].samples = append(all[key].samples, sample{at, math.Float64frombits(value.StaleNaN)})
			all[key].ended = true
		}
	}
	return nil
}

func parsed(text, contentType string, add func(labels.Labels, float64)) error {
	reader, err := textparse.New([]byte(text), contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry == textparse.EntrySeries {
			var named labels.Labels
			_, _, number := reader.Series()
			reader.Labels(&named)
			add(named, number)
		}
	}
}

// Querier is how the engine reads what is held.
func (all held) Querier(_, _ int64) (storage.Querier, error) { return all, nil }

// Select gives whole series: the engine takes of them what it needs.
func (all held) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := &set{}
	for _, one := range all {
		fits := func(matcher *labels.Matcher) bool { return !matcher.Matches(one.labels.Get(matcher.Name)) }
		if !slices.ContainsFunc(matchers, fits) {
			found.all = append(found.all, storage.NewListSeries(one.labels, one.samples))
		}
	}
	slices.SortFunc(found.all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return found
}

func (all held) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (all held) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (all held) Close() error { return nil }

// set walks through what was found.
type set struct {
	all  []storage.Series
	next int
}

func (found *set) Next() bool                        { found.next++; return found.next <= len(found.all) }
func (found *set) At() storage.Series                { return found.all[found.next-1] }
func (found *set) Err() error                        { return nil }
func (found *set) Warnings() annotations.Annotations { return nil }

// sample is a number at a time, in the form that the engine reads.
type sample struct {
	at     int64
	number float64
}

func (one sample) T() int64                      { return one.at }
func (one sample) ST() int64                     { return 0 }
func (one sample) F() float64                    { return one.number }
func (one sample) H() *histogram.Histogram       { return nil }
func (one sample) FH() *histogram.FloatHistogram { return nil }
func (one sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (one sample) Copy() chunks.Sample           { return one }
