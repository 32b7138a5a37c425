// Makes the table of results of Go's math package that the tests of norn_promql::numeric
// compare with. Build for amd64 with GOAMD64=v1.
//
//	go run gomath.go 2048 1 > gomath.bin      (count, seed)
//	go run gomath.go text > goformat.txt
//
// gomath.bin: "GOMATH01", count u32, seed u64, then for each function of the list below, count
// values u32: the upper and lower half of the result's bits combined by xor; 0 for every NaN.
// All integers are little-endian. Arguments are made by the rule in args(), which the test
// repeats.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (r *rng) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

var specials = []uint64{
	0, 1 << 63, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000001, 1, 1<<63 | 1,
	0x000fffffffffffff, 0x0010000000000000, 0x3ff0000000000000, 0xbff0000000000000,
	0x4000000000000000, 0x3fe0000000000000, 0xbfe0000000000000, 0x7fefffffffffffff,
	0xffefffffffffffff, 0x3fe6a09e667f3bcd, 0x3fe6a09e667f3bcc, 0x3fefffffffffffff,
	0x3ff0000000000001, 0x40862e42fefa39ef, 0x40862e42fefa39f0, 0xc0874910d52d3051, 0x408ff80000000000,
	0xc090c80000000000, 0x41c0000000000000, 0x41bfffffffffffff, 0x3ff921fb54442d18,
}

func (r *rng) value(class uint64) float64 {
	switch class {
	case 0:
		return math.Float64frombits(r.next())
	case 1:
		return 2*r.unit() - 1
	case 2:
		v := math.Ldexp(1+r.unit(), int(r.next()%80)-40)
		if r.next()&1 == 1 {
			return -v
		}
		return v
	case 3:
		return 1600*r.unit() - 800
	case 4:
		return float64(int64(r.next()%201) - 100)
	default:
		return 1 + r.unit()/1024
	}
}

func (r *rng) args(i int) (float64, float64) {
	if n := len(specials); i < n*n {
		return math.Float64frombits(specials[i/n]), math.Float64frombits(specials[i%n])
	}
	c := r.next()
	x := r.value(c % 6)
	y := r.value(c >> 8 % 6)
	return x, y
}

var functions = []func(x, y float64) float64{
	func(x, y float64) float64 { return math.Exp(x) },
	func(x, y float64) float64 { return math.Exp2(x) },
	func(x, y float64) float64 { return math.Log(x) },
	func(x, y float64) float64 { return math.Log2(x) },
	func(x, y float64) float64 { return math.Log10(x) },
	func(x, y float64) float64 { return math.Log1p(x) },
	func(x, y float64) float64 { return math.Sin(x) },
	func(x, y float64) float64 { return math.Cos(x) },
	func(x, y float64) float64 { return math.Tan(x) },
	func(x, y float64) float64 { return math.Asin(x) },
	func(x, y float64) float64 { return math.Acos(x) },
	func(x, y float64) float64 { return math.Atan(x) },
	func(x, y float64) float64 { return math.Sinh(x) },
	func(x, y float64) float64 { return math.Cosh(x) },
	func(x, y float64) float64 { return math.Tanh(x) },
	func(x, y float64) float64 { return math.Asinh(x) },
	func(x, y float64) float64 { return math.Acosh(x) },
	func(x, y float64) float64 { return math.Atanh(x) },
	math.Pow,
	math.Atan2,
	math.Mod,
	math.Hypot,
	math.Min,
	math.Max,
	func(x, y float64) float64 { f, e := math.Frexp(x); return f * float64(e) },
	func(x, y float64) float64 { return math.Ldexp(x, int(math.Float64bits(y)%4200)-2100) },
}

func table(count int, seed uint64) {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	out.WriteString("GOMATH01")
	binary.Write(out, binary.LittleEndian, uint32(count))
	binary.Write(out, binary.LittleEndian, seed)
	for _, f := range functions {
		r := rng(seed)
		var word [4]byte
		for i := range count {
			x, y := r.args(i)
			v := f(x, y)
			folded := uint32(0)
			if !math.IsNaN(v) {
				b := math.Float64bits(v)
				folded = uint32(b) ^ uint32(b>>32)
			}
			binary.LittleEndian.PutUint32(word[:], folded)
			out.Write(word[:])
		}
	}
}

func openMetrics(v float64) string {
	if v == 0 {
		return "0.0"
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if math.IsNaN(v) || math.IsInf(v, 0) || strings.ContainsAny(s, "e.") {
		return s
	}
	return s + ".0"
}

func jsonNumber(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// One line a value: bits, 'f', %g, %.2g, JSON, OpenMetrics.
func text() {
	values := []float64{0.125, 0.375, 2.5, 25, 35, 99, 99.5, 100, 995, 1e5, 1e6, 123456, 1234567, 1e20, 1e21, 1e-4,
		1e-5, 9.9e-7, 1e-6, 0.1, 100000.5, 4.35, 0.00001234, 1e22, 1e23, 1e308, 5e-324, 999999.5, 21000000000000000000000}
	for _, b := range specials {
		values = append(values, math.Float64frombits(b))
	}
	r := rng(7)
	for i := range 240 {
		values = append(values, r.value(uint64(i)%6))
	}
	for _, v := range values {
		fmt.Printf("%016x\t%s\t%g\t%.2g\t%s\t%s\n", math.Float64bits(v), strconv.FormatFloat(v, 'f', -1, 64), v, v,
			jsonNumber(v), openMetrics(v))
	}
}

func main() {
	if os.Args[1] == "text" {
		text()
		return
	}
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	seed, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		panic(err)
	}
	table(count, seed)
}
