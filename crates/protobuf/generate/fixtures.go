package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

// sample is one line of a fixture file. JSON is what Go's JSON serializer writes of what Go's
// protobuf serializer read: the API server's own understanding of the bytes.
type sample struct {
	Protobuf []byte          `json:"protobuf"`
	JSON     json.RawMessage `json:"json,omitempty"`
	Error    string          `json:"error,omitempty"`
}

type codec struct {
	protobuf *protobuf.Serializer
	json     *jsonserializer.Serializer
}

func newCodec(scheme *runtime.Scheme) codec {
	options := jsonserializer.SerializerOptions{}
	return codec{
		protobuf: protobuf.NewSerializer(scheme, scheme),
		json:     jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme, options),
	}
}

func (c codec) encode(kind kind, f *filler) ([]byte, error) {
	value := reflect.New(kind.object)
	if f != nil {
		f.fill(value.Elem())
	}
	object := value.Interface().(runtime.Object)
	object.GetObjectKind().SetGroupVersionKind(kind.GroupVersionKind)
	var encoded bytes.Buffer
	err := c.protobuf.Encode(object, &encoded)
	return encoded.Bytes(), err
}

// understand decodes a body as the API server does.
func (c codec) understand(body []byte) sample {
	object, _, err := c.protobuf.Decode(body, nil, nil)
	if err != nil {
		return sample{Protobuf: body, Error: err.Error()}
	}
	var encoded bytes.Buffer
	if err := c.json.Encode(object, &encoded); err != nil {
		return sample{Protobuf: body, Error: err.Error()}
	}
	return sample{Protobuf: body, JSON: bytes.TrimSpace(encoded.Bytes())}
}

// writeFixtures writes every kind once with nothing set and once with some of its fields set,
// and the kinds that tenants send most with every field set.
func writeFixtures(out io.Writer) error {
	full := map[string]bool{"v1 Pod": true, "v1 Service": true, "v1 Secret": true, "apps/v1 Deployment": true}
	return write(out, func(c codec, kind kind, emit func([]byte) error) error {
		if kind.Kind == "DeleteOptions" && kind.GroupVersion().String() != "v1" {
			return nil
		}
		name := kind.GroupVersion().String() + " " + kind.Kind
		fillers := []*filler{nil, newFiller(name, 0.25)}
		if full[name] {
			fillers = append(fillers, newFiller(name, 1))
		}
		for _, f := range fillers {
			body, err := c.encode(kind, f)
			if err != nil {
				return err
			}
			if err := emit(body); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFuzz(out io.Writer, seed uint64, count int, mutate bool) error {
	return write(out, func(c codec, kind kind, emit func([]byte) error) error {
		for i := range count {
			f := newFiller(fmt.Sprint(seed, i, kind), 0)
			f.chance = 0.05 + 0.6*f.random.Float64()*f.random.Float64()
			body, err := c.encode(kind, f)
			if err != nil {
				return err
			}
			if mutate {
				body = damage(f.random, body)
			}
			if err := emit(body); err != nil {
				return err
			}
		}
		return nil
	})
}

func write(out io.Writer, each func(codec, kind, func([]byte) error) error) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	c := newCodec(scheme)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, kind := range bodies(scheme) {
		emit := func(body []byte) error { return lines.Encode(c.understand(body)) }
		if err := each(c, kind, emit); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// damage changes a few bytes behind the magic number: flips, cuts, doublings and swaps.
func damage(random *rand.Rand, body []byte) []byte {
	out := bytes.Clone(body)
	for range 1 + random.IntN(2) {
		at := 4 + random.IntN(max(1, len(out)-4))
		if at >= len(out) {
			break
		}
		end := min(len(out), at+1+random.IntN(12))
		switch random.IntN(5) {
		case 0:
			out[at] ^= 1 << random.IntN(8)
		case 1:
			out[at] = byte(random.IntN(256))
		case 2:
			out = append(out[:at:at], out[end:]...)
		case 3:
			out = append(out[:end:end], out[at:]...)
		case 4:
			other := 4 + random.IntN(len(out)-4)
			out[at], out[other] = out[other], out[at]
		}
	}
	return out
}
