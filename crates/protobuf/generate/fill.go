package main

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// filler sets each field of an object with the given chance, to values that are hard on a
// decoder rather than likely.
type filler struct {
	random *rand.Rand
	chance float64
}

func newFiller(name string, chance float64) *filler {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return &filler{rand.New(rand.NewPCG(hash.Sum64(), 0)), chance}
}

var (
	texts      = []string{"a", "true", "1", "ab-c", "<&>", "ü €", "\"\\\n", "\u2028", "\x00", "🦀", " "}
	integers   = []int64{0, 1, -1, 7, 127, 128, -129, math.MaxInt32, math.MinInt32}
	longs      = []int64{math.MaxInt64, math.MinInt64, math.MaxUint32, 1 << 53}
	quantities = []string{"0", "1", "-1", "100m", "1500m", "0.5", "1Gi", "1.5Gi", "1e3", "1E6", "12n", "3u", "4k", "9223372036854775807", "1000Ki", "2P"}
	documents  = []string{`{}`, `null`, `{"f:metadata":{"f:labels":{".":{}}}}`, `[1,"a",{"b":false}]`, `"text"`, ` { "a" : -1.5 } `, `18446744073709551615`}
	seconds    = []int64{0, 1, -1, -62135596799, 253402300799, 1753900000}
)

func pick[T any](f *filler, from []T) T { return from[f.random.IntN(len(from))] }

func (f *filler) set() bool { return f.random.Float64() < f.chance }

func (f *filler) fill(value reflect.Value) {
	switch held := value.Addr().Interface().(type) {
	case *metav1.TypeMeta:
		return
	case *metav1.Time:
		if f.set() {
			held.Time = time.Unix(pick(f, seconds), f.random.Int64N(1e9))
		}
		return
	case *metav1.MicroTime:
		if f.set() {
			held.Time = time.Unix(pick(f, seconds), pick(f, []int64{0, 999, 1000, 999999999, 120000000}))
		}
		return
	case *resource.Quantity:
		if f.set() {
			*held = resource.MustParse(pick(f, quantities))
		}
		return
	case *intstr.IntOrString:
		if f.set() {
			*held = pick(f, []intstr.IntOrString{intstr.FromString("50%"), intstr.FromString(""), intstr.FromInt32(-1), intstr.FromInt32(8080)})
		}
		return
	case *runtime.RawExtension:
		if f.set() {
			held.Raw = []byte(pick(f, documents))
		}
		return
	case *metav1.FieldsV1:
		if f.set() {
			held.SetRawString(pick(f, documents))
		}
		return
	}

	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			f.fill(value.Field(i))
		}
	case reflect.Pointer:
		if f.set() {
			value.Set(reflect.New(value.Type().Elem()))
			f.fill(value.Elem())
		}
	case reflect.Slice:
		if f.set() {
			count := f.random.IntN(3)
			if f.chance == 1 {
				count = 1
			}
			value.Set(reflect.MakeSlice(value.Type(), count, count))
			for i := range count {
				f.fill(value.Index(i))
			}
		}
	case reflect.Map:
		if f.set() {
			value.Set(reflect.MakeMap(value.Type()))
			for range f.random.IntN(3) {
				key := reflect.New(value.Type().Key()).Elem()
				key.SetString(pick(f, texts))
				element := reflect.New(value.Type().Elem()).Elem()
				f.fill(element)
				value.SetMapIndex(key, element)
			}
		}
	case reflect.String:
		if f.set() {
			value.SetString(pick(f, texts))
		}
	case reflect.Bool:
		value.SetBool(f.set())
	case reflect.Int32:
		if f.set() {
			value.SetInt(pick(f, integers))
		}
	case reflect.Int64:
		if f.set() {
			value.SetInt(pick(f, append(longs, integers...)))
		}
	case reflect.Uint8:
		value.SetUint(uint64(f.random.IntN(256)))
	}
}
