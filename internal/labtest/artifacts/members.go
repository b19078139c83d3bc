package artifacts

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/internal/object"
)

// member is an object of a link and the file that describes it.
type member struct {
	id   object.ID // without a namespace
	file string
	text string
}

// members of a link: what makes it special, then ConfigMaps up to Each.
func (c Chain) members(link int, v Version) []member {
	name := c.Name(link)
	var list []member
	switch link {
	case 0:
		list = append(list, c.definition(), c.custom(name, v))
	case 1:
		list = append(list, account(name), deployment(name, v))
	case 2:
		list = append(list, account(name), job(fmt.Sprintf("%s-v%d", name, v)))
	default:
		list = append(list, account(name))
	}
	for i := 0; len(list) < c.Each; i++ {
		list = append(list, settings(fmt.Sprintf("%s-%d", name, i), v))
	}
	if v == Second && link%2 == 1 {
		list = list[:len(list)-1]
	}
	if v == Second && link == c.Links-1 {
		list = append(list, settings(name+"-new", v))
	}
	return list
}

func (c Chain) definition() member {
	return describe("apiextensions.k8s.io", "CustomResourceDefinition", "widgets."+c.Group, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $NAME}
spec:
  group: $GROUP
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {version: {type: string}}}
`, "$GROUP", c.Group)
}

func (c Chain) custom(name string, v Version) member {
	return describe(c.Group, "Widget", name, `
apiVersion: $GROUP/v1
kind: Widget
metadata: {name: $NAME}
spec: {version: "$VERSION"}
`, "$GROUP", c.Group, "$VERSION", fmt.Sprint(v))
}

func account(name string) member {
	return describe("", "ServiceAccount", name, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: $NAME}
`)
}

func settings(name string, v Version) member {
	return describe("", "ConfigMap", name, `
apiVersion: v1
kind: ConfigMap
metadata: {name: $NAME}
data: {version: "$VERSION"}
`, "$VERSION", fmt.Sprint(v))
}

func deployment(name string, v Version) member {
	return describe("apps", "Deployment", name, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: $NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: $NAME}}
  template:
    metadata:
      labels: {app: $NAME}
      annotations: {version: "$VERSION"}
    spec:
      containers: [{name: app, image: "example.com/app:$VERSION"}]
`, "$VERSION", fmt.Sprint(v))
}

func job(name string) member {
	return describe("batch", "Job", name, `
apiVersion: batch/v1
kind: Job
metadata: {name: $NAME}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: job, image: "example.com/job:1"}]
`)
}

func describe(group, kind, name, template string, pairs ...string) member {
	text := strings.NewReplacer(append(pairs, "$NAME", name)...).Replace(strings.TrimPrefix(template, "\n"))
	return member{
		id:   object.ID{Group: group, Kind: kind, Name: name},
		file: strings.ToLower(kind) + "-" + name + ".yaml",
		text: text,
	}
}
