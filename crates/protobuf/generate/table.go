package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// builtins are the types that have a JSON form of their own, which the decoder knows by name.
var builtins = map[reflect.Type]string{
	reflect.TypeFor[metav1.Time]():          "time",
	reflect.TypeFor[metav1.MicroTime]():     "microTime",
	reflect.TypeFor[metav1.FieldsV1]():      "json",
	reflect.TypeFor[resource.Quantity]():    "quantity",
	reflect.TypeFor[intstr.IntOrString]():   "intOrString",
	reflect.TypeFor[runtime.RawExtension](): "json",
}

// What a field's JSON looks like when the field is not on the wire, or is zero there.
const (
	always    = "always"    // its zero value is written
	nullable  = "nullable"  // absent is written as null
	omitempty = "omitempty" // absent and zero are left out
	optional  = "optional"  // absent is left out, zero is written
	inline    = "inline"    // its fields are written into the message that holds it
)

type field struct {
	number  int
	name    string
	kind    string
	absence string
}

// table walks types and keeps the messages that it met, by name.
type table map[string][]field

func writeTable(out io.Writer) error {
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	types := table{}
	kinds := map[string]map[string]string{}
	for _, kind := range bodies(scheme) {
		name, err := types.message(kind.object)
		if err != nil {
			return err
		}
		version := kind.GroupVersion().String()
		if kinds[version] == nil {
			kinds[version] = map[string]string{}
		}
		kinds[version][kind.Kind] = name
	}

	// A line for each version and each type, so that an upgrade of Kubernetes shows as a diff.
	fmt.Fprint(out, "{\"kinds\":{\n")
	for i, version := range slices.Sorted(maps.Keys(kinds)) {
		line, err := json.Marshal(kinds[version])
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s%q:%s", separator(i), version, line)
	}
	fmt.Fprint(out, "\n},\"types\":{\n")
	for i, name := range slices.Sorted(maps.Keys(types)) {
		rows := [][]any{}
		for _, f := range types[name] {
			row := []any{f.number, f.name, f.kind, f.absence}
			rows = append(rows, row)
		}
		line, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s%q:%s", separator(i), name, line)
	}
	_, err = fmt.Fprint(out, "\n}}\n")
	return err
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ",\n"
}

// message takes a struct into the table and gives its name there.
func (t table) message(typ reflect.Type) (string, error) {
	name := strings.TrimPrefix(typ.PkgPath(), "k8s.io/api/")
	name = strings.TrimPrefix(name, "k8s.io/apimachinery/pkg/apis/") + "." + typ.Name()
	if _, known := t[name]; known {
		return name, nil
	}
	if typ.Kind() != reflect.Struct || !reflect.PointerTo(typ).Implements(messageType) {
		return "", fmt.Errorf("%s is no protobuf message", typ)
	}
	if hasOwnJSON(typ) {
		return "", fmt.Errorf("%s writes its own JSON, which the decoder does not know", typ)
	}
	t[name] = nil // A type may hold itself.
	var fields []field
	for i := range typ.NumField() {
		structField := typ.Field(i)
		if structField.Type == reflect.TypeFor[metav1.TypeMeta]() {
			continue // The envelope carries it.
		}
		f, err := t.field(structField)
		if err != nil {
			return "", fmt.Errorf("%s.%s: %w", typ, structField.Name, err)
		}
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b field) int { return a.number - b.number })
	t[name] = fields
	if err := t.unambiguous(name); err != nil {
		return "", err
	}
	return name, nil
}

func (t table) field(f reflect.StructField) (field, error) {
	number, err := protobufNumber(f)
	if err != nil {
		return field{}, err
	}
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	flags := strings.Split(options, ",")
	omits := slices.Contains(flags, "omitempty")
	for _, flag := range flags {
		if flag != "" && flag != "inline" && flag != "omitempty" && flag != "omitzero" {
			return field{}, fmt.Errorf("unknown JSON option %q", flag)
		}
	}

	if f.Anonymous && name == "" {
		message, err := t.message(f.Type)
		return field{number, "", message, inline}, err
	}
	if name == "" || name == "-" || slices.Contains(flags, "inline") {
		return field{}, fmt.Errorf("no JSON name")
	}
	typ := f.Type
	pointer := typ.Kind() == reflect.Pointer
	if pointer {
		typ = typ.Elem()
	}
	kind, err := t.kind(typ)
	if err != nil {
		return field{}, err
	}
	nilable := typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map
	if pointer && nilable {
		return field{}, fmt.Errorf("a pointer to a slice or map")
	}
	absence := always
	switch {
	case slices.Contains(flags, "omitzero"):
		if kind != "time" || pointer {
			return field{}, fmt.Errorf("omitzero on other than a time")
		}
		absence = omitempty
	case pointer && omits:
		absence = optional
	case (pointer || nilable) && !omits:
		absence = nullable
	case omits && typ.Kind() != reflect.Struct:
		absence = omitempty
	}
	return field{number, name, kind, absence}, nil
}

// kind names a type as the decoder reads it.
func (t table) kind(typ reflect.Type) (string, error) {
	if name, ok := builtins[typ]; ok {
		return name, nil
	}
	if hasOwnJSON(typ) {
		return "", fmt.Errorf("%s writes its own JSON, which the decoder does not know", typ)
	}
	switch typ.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int32:
		return "int32", nil
	case reflect.Int64:
		return "int64", nil
	case reflect.Struct:
		return t.message(typ)
	case reflect.Slice:
		if reflect.PointerTo(typ).Implements(messageType) {
			if typ.Elem().Kind() != reflect.String {
				return "", fmt.Errorf("a list message of other than text")
			}
			return "stringList", nil
		}
		if typ.Elem().Kind() == reflect.Uint8 {
			return "bytes", nil
		}
		element, err := t.kind(typ.Elem())
		if strings.HasPrefix(element, "[]") || strings.HasPrefix(element, "map ") || element == "stringList" {
			return "", fmt.Errorf("a list in a list")
		}
		return "[]" + element, err
	case reflect.Map:
		if typ.Key().Kind() != reflect.String {
			return "", fmt.Errorf("a map whose keys are not text")
		}
		value, err := t.kind(typ.Elem())
		if strings.HasPrefix(value, "[]") || strings.HasPrefix(value, "map ") {
			return "", fmt.Errorf("a list or map in a map")
		}
		return "map " + value, err
	default:
		return "", fmt.Errorf("%s has no kind in the table", typ)
	}
}

// unambiguous refuses a message with two fields of one number or one JSON name, where Go would
// pick by rules that the decoder does not follow.
func (t table) unambiguous(name string) error {
	seen := map[string]bool{}
	var visit func(string) error
	visit = func(message string) error {
		numbers := map[int]bool{}
		for _, f := range t[message] {
			if numbers[f.number] {
				return fmt.Errorf("%s has number %d twice", message, f.number)
			}
			numbers[f.number] = true
			if f.absence == inline {
				if err := visit(f.kind); err != nil {
					return err
				}
			} else if seen[f.name] {
				return fmt.Errorf("%s has the JSON name %s twice", name, f.name)
			}
			seen[f.name] = true
		}
		return nil
	}
	return visit(name)
}

func hasOwnJSON(typ reflect.Type) bool {
	for _, own := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if reflect.PointerTo(typ).Implements(own) {
			return true
		}
	}
	return false
}

// protobufNumber reads a field's number. The tag's wire type is not to be trusted (it is wrong in
// DeleteOptions.PropagationPolicy); the Go type decides that, in the .proto generator as here.
func protobufNumber(f reflect.StructField) (int, error) {
	parts := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(parts) < 2 {
		return 0, fmt.Errorf("no protobuf tag")
	}
	return strconv.Atoi(parts[1])
}
