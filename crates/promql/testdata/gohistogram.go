// Makes the table of results of Prometheus' histogram arithmetic that the tests of
// norn_promql::histogram compare with. Build for amd64 in a module that requires
// github.com/prometheus/prometheus v0.314.0.
//
//	go run gohistogram.go 150 1 > gohistogram.txt      (histograms, seed)
//
// Lines are words. Floats are their bits in hex, NaN is "nan". A histogram is 11 words: hint, schema,
// zero threshold, zero count, count, sum, positive spans (offset:length,…), positive counts, negative
// spans, negative counts, custom bounds; an empty list is "-". Histograms as results are compacted.
//
//	H histogram                         defines number 0, 1, …
//	add|sub i j err | flags H           flags: c = reset collision, r = bounds reconciled, - = none
//	kahan i j k err | flags H           i + j + k, compensated
//	mul|div i factor H
//	reset i j bool                      a reset from j to i
//	grown i j bool                      a reset from j to j + i
//	quantile i q value
//	fraction i lower upper value
//	below|above i limit H
//	text i text
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser/posrange"
)

func bits(v float64) string {
	if math.IsNaN(v) {
		return "nan"
	}
	return strconv.FormatUint(math.Float64bits(v), 16)
}

func list(vs []float64) string {
	if len(vs) == 0 {
		return "-"
	}
	words := make([]string, len(vs))
	for i, v := range vs {
		words[i] = bits(v)
	}
	return strings.Join(words, ",")
}

func spans(ss []histogram.Span) string {
	if len(ss) == 0 {
		return "-"
	}
	words := make([]string, len(ss))
	for i, s := range ss {
		words[i] = fmt.Sprintf("%d:%d", s.Offset, s.Length)
	}
	return strings.Join(words, ",")
}

func text(h *histogram.FloatHistogram) string {
	return fmt.Sprint(uint8(h.CounterResetHint), " ", h.Schema, " ", bits(h.ZeroThreshold), " ", bits(h.ZeroCount), " ",
		bits(h.Count), " ", bits(h.Sum), " ", spans(h.PositiveSpans), " ", list(h.PositiveBuckets), " ",
		spans(h.NegativeSpans), " ", list(h.NegativeBuckets), " ", list(h.CustomValues))
}

type maker struct{ *rand.Rand }

func (r maker) side(first int) ([]histogram.Span, []float64) {
	var ss []histogram.Span
	var counts []float64
	for i := range r.Intn(4) {
		s := histogram.Span{Offset: int32(r.Intn(4)), Length: uint32(1 + r.Intn(4))}
		if i == 0 {
			s.Offset = int32(first)
		}
		ss = append(ss, s)
		for range s.Length {
			counts = append(counts, r.count())
		}
	}
	return ss, counts
}

func (r maker) count() float64 {
	switch r.Intn(5) {
	case 0:
		return 0
	case 1:
		return r.Float64() * 1000
	default:
		return float64(r.Intn(50))
	}
}

var bounds = []float64{-5, 0, 0.5, 1, 2, 5, 10, 25}

func (r maker) custom() *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema}
	for _, b := range bounds {
		if r.Intn(3) > 0 {
			h.CustomValues = append(h.CustomValues, b)
		}
	}
	first := r.Intn(2)
	n := len(h.CustomValues) + 1 - first
	if n > 0 {
		h.PositiveSpans = []histogram.Span{{Offset: int32(first), Length: uint32(n)}}
		for range n {
			h.PositiveBuckets = append(h.PositiveBuckets, r.count())
		}
	}
	return h
}

func (r maker) histogram() *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{}
	if r.Intn(4) == 0 {
		h = r.custom()
	} else {
		h.Schema = int32([]int{-2, 0, 0, 1, 1, 2, 3, 8}[r.Intn(8)])
		h.ZeroThreshold = []float64{0, 1e-3, 0.3, 0.5, 1.7, 2.938735877055719e-39}[r.Intn(6)]
		h.ZeroCount = r.count()
		h.PositiveSpans, h.PositiveBuckets = r.side(r.Intn(20) - 8)
		h.NegativeSpans, h.NegativeBuckets = r.side(r.Intn(20) - 8)
	}
	h.CounterResetHint = histogram.CounterResetHint(r.Intn(4))
	h.Sum = r.NormFloat64() * 100
	h.Count = h.ZeroCount
	for _, c := range append(append([]float64{}, h.PositiveBuckets...), h.NegativeBuckets...) {
		h.Count += c
	}
	if r.Intn(8) == 0 {
		h.Sum = math.NaN()
		h.Count += float64(r.Intn(20))
	}
	return h
}

func flags(collision, reconciled bool) string {
	s := ""
	if collision {
		s += "c"
	}
	if reconciled {
		s += "r"
	}
	if s == "" {
		return "-"
	}
	return s
}

func pairs(r maker, hs []*histogram.FloatHistogram) {
	i, j, k := r.Intn(len(hs)), r.Intn(len(hs)), r.Intn(len(hs))
	a, b, c := hs[i], hs[j], hs[k]
	if sum, collision, reconciled, err := a.Copy().Add(b); err != nil {
		fmt.Println("add", i, j, "err")
	} else {
		fmt.Println("add", i, j, flags(collision, reconciled), text(sum.Compact(0)))
	}
	if diff, collision, reconciled, err := a.Copy().Sub(b); err != nil {
		fmt.Println("sub", i, j, "err")
	} else {
		fmt.Println("sub", i, j, flags(collision, reconciled), text(diff.Compact(0)))
	}
	sum := a.Copy()
	comp, collision, reconciled, err := sum.KahanAdd(b, nil)
	if err == nil {
		var collision2, reconciled2 bool
		comp, collision2, reconciled2, err = sum.KahanAdd(c, comp)
		collision, reconciled = collision || collision2, reconciled || reconciled2
	}
	if err != nil {
		fmt.Println("kahan", i, j, k, "err")
	} else {
		total, _, _, err := sum.Add(comp)
		if err != nil {
			panic(err)
		}
		fmt.Println("kahan", i, j, k, flags(collision, reconciled), text(total.Compact(0)))
	}
	fmt.Println("reset", i, j, a.DetectReset(b))
	grown := b.Copy()
	if _, _, _, err := grown.Add(a); err == nil {
		grown.CounterResetHint = histogram.UnknownCounterReset
		fmt.Println("grown", i, j, grown.DetectReset(b))
	}
}

func singles(r maker, i int, h *histogram.FloatHistogram) {
	f := r.NormFloat64()
	fmt.Println("mul", i, bits(f), text(h.Copy().Mul(f).Compact(0)))
	fmt.Println("div", i, bits(f), text(h.Copy().Div(f).Compact(0)))
	fmt.Println("div", i, bits(0), text(h.Copy().Div(0).Compact(0)))
	for _, q := range []float64{0, 0.1, 0.35, 0.5, 0.8, 0.99, 1, r.Float64()} {
		v, _ := promql.HistogramQuantile(q, h, "", posrange.PositionRange{})
		fmt.Println("quantile", i, bits(q), bits(v))
	}
	for range 6 {
		lower, upper := r.limit(), r.limit()
		v, _ := promql.HistogramFraction(lower, upper, h, "", posrange.PositionRange{})
		fmt.Println("fraction", i, bits(lower), bits(upper), bits(v))
		fmt.Println("below", i, bits(lower), text(h.Copy().TrimBuckets(lower, true).Compact(0)))
		fmt.Println("above", i, bits(lower), text(h.Copy().TrimBuckets(lower, false).Compact(0)))
	}
	fmt.Println("text", i, h.String())
}

func (r maker) limit() float64 {
	switch r.Intn(6) {
	case 0:
		return 0
	case 1:
		return math.Inf(1 - 2*r.Intn(2))
	case 2:
		return []float64{1, 2, 0.5, 5, -1, 25, -5}[r.Intn(7)]
	default:
		return r.NormFloat64() * 8
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	seed, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		panic(err)
	}
	r := maker{rand.New(rand.NewSource(seed))}
	var hs []*histogram.FloatHistogram
	for range count {
		hs = append(hs, r.histogram())
		fmt.Println("H", text(hs[len(hs)-1]))
	}
	for i, h := range hs {
		singles(r, i, h)
	}
	for range 3 * count {
		pairs(r, hs)
	}
}
