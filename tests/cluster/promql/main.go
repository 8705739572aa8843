// What expressions and alerts come to, by Prometheus' own engine, given what targets answered to their scrapes.
//
//	stdin: targets with their answers, rules, expressions ─► stored ─┬─► each expression over the time
//	                                                                 └─► each alert, step by step ─► stdout
//
// Reads one question as JSON, writes one answer as JSON, and keeps nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Question holds what is to be found out. Times are seconds since the story's beginning.
type Question struct {
	Targets []Target `json:"targets"`
	// Rules is a file of rules as Prometheus reads it; none where it is empty.
	Rules   string   `json:"rules"`
	Queries []string `json:"queries"`
	FromS   int64    `json:"from_s"`
	UntilS  int64    `json:"until_s"`
	StepS   int64    `json:"step_s"`
}

// Answer holds what was found out.
type Answer struct {
	Alerts  []*Alert `json:"alerts"`
	Queries []Query  `json:"queries"`
	// Rules are the alerts of the file, whether or not they fire.
	Rules []Query `json:"rules"`
}

const (
	// More than any test has samples, and a bound for an expression that explodes.
	samplesMax = 50_000_000
	queryMax   = time.Minute
)

var language = parser.NewParser(parser.Options{})

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var question Question
	input := json.NewDecoder(os.Stdin)
	input.DisallowUnknownFields()
	if err := input.Decode(&question); err != nil {
		return fmt.Errorf("the question: %w", err)
	}
	if question.StepS < 1 {
		return fmt.Errorf("step_s is %d: at least 1", question.StepS)
	}
	stored, err := store(question.Targets)
	if err != nil {
		return err
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:           samplesMax,
		Timeout:              queryMax,
		EnableAtModifier:     true,
		EnableNegativeOffset: true,
		Parser:               language,
	})
	asked := asker{engine: engine, stored: stored, question: &question}
	var answer Answer
	if answer.Rules, answer.Alerts, err = asked.alerts(); err != nil {
		return err
	}
	for _, text := range question.Queries {
		query, err := asked.query(text)
		if err != nil {
			return err
		}
		answer.Queries = append(answer.Queries, query)
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// at is the moment so many seconds after the beginning. Which one that is, is of no matter, but 0 means "none" here and there.
func at(seconds int64) time.Time {
	return time.Unix(1_000_000+seconds, 0).UTC()
}
