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
	// Embedded JSON goes through unread, so a damaged one may be no text.
	text := bytes.ToValidUTF8(bytes.TrimSpace(encoded.Bytes()), []byte("\uFFFD"))
	return sample{Protobuf: body, JSON: text}
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
			f.chance = 0.05 + 0.95*f.random.Float64()*f.random.Float64()
			body, err := c.encode(kind, f)
			if err != nil {
				return err
			}
			if mutate {
				if body, err = c.damage(f.random, body); err != nil {
					return err
				}
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

// damage changes a body: half the time anywhere, else only the object inside an intact envelope,
// so that more of the damage gets past the outermost lengths.
func (c codec) damage(random *rand.Rand, body []byte) ([]byte, error) {
	if random.IntN(2) == 0 {
		return append(body[:4:4], change(random, body[4:])...), nil
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body[4:]); err != nil {
		return nil, err
	}
	envelope.Raw = change(random, envelope.Raw)
	var encoded bytes.Buffer
	err := c.protobuf.Encode(&envelope, &encoded)
	return encoded.Bytes(), err
}

// change flips, replaces, cuts, doubles or swaps a few bytes, most often a single one.
func change(random *rand.Rand, from []byte) []byte {
	out := bytes.Clone(from)
	for len(out) > 0 {
		at, other := random.IntN(len(out)), random.IntN(len(out))
		end := min(len(out), at+1+random.IntN(12))
		switch random.IntN(9) {
		case 0:
			out = append(out[:at:at], out[end:]...)
		case 1:
			out = append(out[:end:end], out[at:]...)
		case 2:
			out[at], out[other] = out[other], out[at]
		case 3, 4:
			out[at] = byte(random.IntN(256))
		case 5, 6:
			out[at]++
		default:
			out[at] ^= 1 << random.IntN(8)
		}
		if random.IntN(4) > 0 {
			break
		}
	}
	return out
}
