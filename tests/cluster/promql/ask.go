package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
)

// Query holds an expression, what it reads, and what it came to.
type Query struct {
	Name      string     `json:"name"`
	Text      string     `json:"text"`
	Selectors []Selector `json:"selectors"`
	// Labels are those that it groups or joins by.
	Labels []string `json:"labels"`
	Series []Series `json:"series"`
}

// Selector holds which series are read.
type Selector struct {
	Metric   string    `json:"metric"`
	Matchers []Matcher `json:"matchers"`
}

// Matcher holds what a label must be like.
type Matcher struct {
	Label string `json:"label"`
	How   string `json:"how"`
	Value string `json:"value"`
}

// Series holds a result over the time: pairs of seconds and the number as text, since JSON has no NaN.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points [][2]string       `json:"points"`
}

// Alert holds one alert from when its expression held.
type Alert struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	SinceS      int64             `json:"since_s"`
	// FiredS is nil where it did not hold for long enough.
	FiredS *int64 `json:"fired_s"`
	// EndedS is nil where it held to the end.
	EndedS *int64 `json:"ended_s"`
}

type asker struct {
	engine   *promql.Engine
	stored   held
	question *Question
}

// query gives what an expression reads and comes to.
func (asked asker) query(text string) (Query, error) {
	query, err := read(text)
	if err != nil {
		return query, err
	}
	ctx := context.Background()
	from, until := at(asked.question.FromS), at(asked.question.UntilS)
	step := time.Duration(asked.question.StepS) * time.Second
	running, err := asked.engine.NewRangeQuery(ctx, asked.stored, nil, text, from, until, step)
	if err != nil {
		return query, fmt.Errorf("%s: %w", text, err)
	}
	defer running.Close()
	matrix, err := running.Exec(ctx).Matrix()
	if err != nil {
		return query, fmt.Errorf("%s: %w", text, err)
	}
	for _, found := range matrix {
		series := Series{Labels: found.Metric.Map()}
		for _, point := range found.Floats {
			seconds := fmt.Sprint(point.T/1000 - at(0).Unix())
			series.Points = append(series.Points, [2]string{seconds, fmt.Sprint(point.F)})
		}
		query.Series = append(query.Series, series)
	}
	return query, nil
}

// read says what an expression reads, without asking.
func read(text string) (Query, error) {
	query := Query{Text: text}
	parsed, err := language.ParseExpr(text)
	if err != nil {
		return query, fmt.Errorf("%s: %w", text, err)
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			selector := Selector{Metric: node.Name, Matchers: []Matcher{}}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != labels.MetricName {
					selector.Matchers = append(selector.Matchers, Matcher{matcher.Name, matcher.Type.String(), matcher.Value})
				}
			}
			query.Selectors = append(query.Selectors, selector)
		case *parser.AggregateExpr:
			query.Labels = append(query.Labels, node.Grouping...)
		case *parser.BinaryExpr:
			if node.VectorMatching != nil {
				query.Labels = append(query.Labels, node.VectorMatching.MatchingLabels...)
				query.Labels = append(query.Labels, node.VectorMatching.Include...)
			}
		}
		return nil
	})
	return query, nil
}

// alerts walks through the time and notes what every alert of the file comes to, with its `for`.
func (asked asker) alerts() ([]Query, []*Alert, error) {
	if asked.question.Rules == "" {
		return nil, nil, nil
	}
	groups, errs := rulefmt.Parse([]byte(asked.question.Rules), false, model.UTF8Validation, language, slog.Default())
	if len(errs) > 0 {
		return nil, nil, fmt.Errorf("the rules: %v", errs)
	}
	var rules []Query
	var all []*Alert
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			query, err := read(rule.Expr)
			if err != nil {
				return nil, nil, err
			}
			query.Name = rule.Alert
			rules = append(rules, query)
			found, err := asked.alert(rule)
			if err != nil {
				return nil, nil, err
			}
			all = append(all, found...)
		}
	}
	return rules, all, nil
}

func (asked asker) alert(rule rulefmt.Rule) ([]*Alert, error) {
	var all []*Alert
	active := map[uint64]*Alert{}
	for now := asked.question.FromS; now <= asked.question.UntilS; now += asked.question.StepS {
		found, err := asked.instant(context.Background(), rule.Expr, at(now))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.Alert, err)
		}
		still := map[uint64]*Alert{}
		for _, one := range found {
			key := one.Metric.Hash()
			alert := active[key]
			if alert == nil {
				if alert, err = asked.begun(rule, one, now); err != nil {
					return nil, err
				}
				all = append(all, alert)
			}
			if alert.FiredS == nil && now-alert.SinceS >= int64(time.Duration(rule.For).Seconds()) {
				fired := now
				alert.FiredS = &fired
			}
			still[key] = alert
		}
		for key, alert := range active {
			if still[key] == nil {
				ended := now
				alert.EndedS = &ended
			}
		}
		active = still
	}
	return all, nil
}

func (asked asker) instant(ctx context.Context, text string, when time.Time) (promql.Vector, error) {
	running, err := asked.engine.NewInstantQuery(ctx, asked.stored, nil, text, when)
	if err != nil {
		return nil, err
	}
	defer running.Close()
	// What the engine gives is its own again after Close.
	result := running.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	switch value := result.Value.(type) {
	case promql.Vector:
		return append(promql.Vector{}, value...), nil
	case promql.Scalar:
		return promql.Vector{{T: value.T, F: value.V}}, nil
	default:
		return nil, fmt.Errorf("%s is no vector", text)
	}
}

// begun is an alert whose expression holds, with the words that people are told.
func (asked asker) begun(rule rulefmt.Rule, one promql.Sample, now int64) (*Alert, error) {
	own := one.Metric.Map()
	delete(own, labels.MetricName)
	alert := &Alert{Name: rule.Alert, Labels: maps.Clone(own), Annotations: map[string]string{}, SinceS: now}
	data := template.AlertTemplateData(own, nil, "", one)
	const names = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
	when := model.TimeFromUnixNano(at(now).UnixNano())
	expand := func(text string) (string, error) {
		query := func(ctx context.Context, text string, when time.Time) (promql.Vector, error) {
			return asked.instant(ctx, text, when)
		}
		// A word that is missing is a mistake here; Prometheus would leave it out.
		strict := []string{"missingkey=error"}
		expander := template.NewTemplateExpander(context.Background(), names+text, rule.Alert, data, when, query, &url.URL{}, strict)
		said, err := expander.Expand()
		if err != nil {
			return "", fmt.Errorf("%s: %q: %w", rule.Alert, strings.TrimSpace(text), err)
		}
		return said, nil
	}
	var err error
	for label, text := range rule.Labels {
		if alert.Labels[label], err = expand(text); err != nil {
			return nil, err
		}
	}
	for name, text := range rule.Annotations {
		if alert.Annotations[name], err = expand(text); err != nil {
			return nil, err
		}
	}
	return alert, nil
}
