package import ForgeBase

/// JSON Schemas (draft 2020-12) of the files people write, for completion and checks in editors.
///
/// They are as strict as a schema can be without knowing parameters: forge itself checks more.
package enum RecipeSchema {
    static let dialect = "https://json-schema.org/draft/2020-12/schema"

    /// The schema of `recipe.yaml` and of build roots, with the options of every stage.
    package static func recipe(_ catalog: StageCatalog) throws -> JSON {
        let stages = try catalog.all()
        let definitions: [(String, JSON)] =
            [
                ("when", when), ("reference", conditional(string("<stage>.<output>", pattern: "^[^.]+\\..+$|\\$\\{"))),
                ("source", source), ("parameter", definition(parameter: true)), ("instance", instance(stages)),
                ("test", test),
                ("check", check),
            ] + stages.map { ("stage-\($0.name)", uses($0)) }
        return object(
            [
                (
                    "forge",
                    .object([("const", .int(Recipe.format)), ("description", .string("Version of the format."))])
                ),
                ("name", string("The name of the recipe's folder.", pattern: TextFormat.name.pattern)),
                ("summary", string("One line.")),
                ("architecture", words(RecipeReader.architectures, "Debian's word for the processor.")),
                ("parameters", map(reference("parameter"), "What --set can change.")),
                ("stages", map(reference("instance"), "Steps by id.")),
                ("artifacts", map(reference("reference"), "Path below out/ to the output that is published there.")),
                ("tests", array(reference("test"), "Boots in a virtual machine.")),
            ], required: ["forge", "name", "architecture", "stages", "artifacts"],
            extra: [
                ("$schema", .string(dialect)), ("title", .string("forge recipe")), ("$defs", .object(definitions)),
            ])
    }

    /// The schema of `stage.yaml`.
    package static func stage() -> JSON {
        let kind = words(ArtifactKind.allCases.map(\.rawValue), "What passes.")
        let input = object(
            [
                ("kind", kind), ("many", flag("Takes a list.")), ("optional", flag("May be left out.")),
                ("summary", string()),
            ],
            required: ["kind"])
        let output = object(
            [("kind", kind), ("media-type", string("IANA media type.")), ("summary", string())], required: ["kind"])
        let rule = object(
            [
                ("if", string("A condition on one version: kubernetes < 1.23.")),
                ("need", string("What must hold then: containerd < 2.")), ("because", string("Why, for the message.")),
            ], required: ["if", "need", "because"])
        let resources = object([
            ("cpu", integer("Cores.", minimum: 1)), ("memory", size("Bytes.")),
            ("disk", integer("Transfers to and from the disk.", minimum: 0)),
            ("network", integer("Connections.", minimum: 0)),
        ])
        return object(
            [
                ("summary", string("One line.")), ("description", string("Longer, Markdown.")),
                ("version", integer("Raised when the output changes.", minimum: 1)),
                (
                    "run",
                    string(
                        "What does the work: script (the file `run`) or builtin:<name>.",
                        pattern: "^(script|builtin:.+)$")
                ),
                ("build-root", string("The tree that scripts run in: stages/build-roots/<name>.yaml.")),
                ("network", flag("Whether the stage may use the network; needs a lock.")),
                ("lock", string("The locker that pins what the stage downloads.")), ("resources", resources),
                ("environment", environment), ("timeout", timeout),
                (
                    "tool-cache",
                    string(
                        "What the script's tools keep between runs, by name, outside of keys.",
                        pattern: TextFormat.name.pattern)
                ),
                ("options", map(reference("option"), "Options by name.")), ("inputs", map(input, "Inputs by name.")),
                ("outputs", map(output, "Outputs by name.")),
                ("compatibility", array(rule, "What does not work together.")),
            ], required: ["summary", "outputs"],
            extra: [
                ("$schema", .string(dialect)), ("title", .string("forge stage")),
                ("$defs", .object([("option", definition(parameter: false))])),
            ])
    }

    // MARK: Parts of a recipe

    private static var when: JSON {
        let scalar = JSON.object([("type", .array(["string", "integer", "boolean"].map(JSON.string)))])
        return map(any([scalar, array(scalar)]), "Holds if each parameter has the value, or one of the values.")
    }

    private static let environment = map(
        any([string(), integer(), flag()]), "Fixed variables of the script.")
    private static let timeout = described(
        any([integer(minimum: 1), string(pattern: TimeLimit.pattern)]), "The most that one run may take: 90s, 30m, 2h.")

    /// Where an input comes from.
    private static var source: JSON {
        let places = any([string(pattern: TextFormat.url.pattern + "|\\$\\{"), array(string())])
        let patterns = any([string(), array(string())])
        let sha256 = string(TextFormat.sha256.summary, pattern: TextFormat.sha256.pattern + "|\\$\\{")
        let forms = [
            object([("path", string("A file or folder below the recipe's folder."))], required: ["path"]),
            object(
                [
                    ("glob", described(patterns, "Patterns of files below the recipe's folder.")),
                    ("except", described(patterns, "What to leave out.")), ("optional", flag("May find nothing.")),
                ], required: ["glob"]),
            object(
                [("url", places), ("sha256", sha256), ("size", integer("Bytes.", minimum: 0))],
                required: ["url", "sha256"]),
            object(
                [
                    ("git", places), ("commit", string("40 digits.", pattern: "^[0-9a-f]{40}$|\\$\\{")),
                    ("ref", string("A branch or tag that leads to the commit.")),
                    ("submodules", flag("Take their trees too.")), ("tree", sha256),
                ], required: ["git", "commit"]),
        ]
        return any([reference("reference")] + forms.map(conditional))
    }

    private static func instance(_ stages: [StageDefinition]) -> JSON {
        let choices = stages.map { stage in
            JSON.object([
                ("if", .object([("properties", .object([("stage", .object([("const", .string(stage.name))]))]))])),
                ("then", reference("stage-\(stage.name)")),
            ])
        }
        return object(
            [
                ("stage", words(stages.map(\.name), "The kind of step.")), ("when", reference("when")),
                ("options", .object([("type", .string("object"))])), ("inputs", .object([("type", .string("object"))])),
                ("environment", environment), ("timeout", timeout),
                (
                    "versions",
                    .object([
                        ("type", .string("array")),
                        ("description", .string("Versions that the stage's rules of compatibility are held against.")),
                    ])
                ),
            ], required: ["stage"], extra: [("allOf", .array(choices))])
    }

    /// What an instance of one stage may say.
    private static func uses(_ stage: StageDefinition) -> JSON {
        let inputs = stage.inputs.map { input -> (String, JSON) in
            let one = reference("source")
            return (
                input.name,
                described(input.many ? any([one, conditional(array(any([one, several(one)])))]) : one, input.summary)
            )
        }
        let required = stage.inputs.filter { !$0.optional }.map(\.name)
        var schema: [(String, JSON)] = [
            ("description", .string(stage.summary)),
            (
                "properties",
                .object([("options", fields(stage.options)), ("inputs", object(inputs, required: required))])
            ),
        ]
        let needed =
            (stage.options.contains(where: \.required) ? ["options"] : []) + (required.isEmpty ? [] : ["inputs"])
        if !needed.isEmpty { schema.append(("required", .array(needed.map(JSON.string)))) }
        return .object(schema)
    }

    private static func fields(_ definitions: [OptionDefinition]) -> JSON {
        object(
            definitions.map { definition in
                var schema = described(conditional(type(definition.type)), definition.summary)
                if let value = definition.defaultValue { schema = adding(schema, "default", value) }
                return (definition.name, schema)
            }, required: definitions.filter(\.required).map(\.name))
    }

    /// A type; every scalar may also be text with `${parameter}`.
    private static func type(_ type: OptionType) -> JSON {
        let expanded = string(pattern: "\\$\\{")
        switch type {
        case .string(nil), .path: return string()
        case .string(let format?): return any([string(format.summary, pattern: format.pattern), expanded])
        case .integer(let minimum, let maximum):
            return any([integer(minimum: minimum, maximum: maximum), expanded])
        case .boolean: return any([flag(), expanded])
        case .enumeration(let values): return any([words(values), expanded])
        case .list(let item):
            return array(any([conditional(RecipeSchema.type(item)), several(RecipeSchema.type(item))]))
        case .map(let item): return map(conditional(RecipeSchema.type(item)))
        case .object(let definitions): return fields(definitions)
        case .any: return .bool(true)
        }
    }

    private static var test: JSON {
        let disk = object(
            [
                ("size", size("Of the disk.")),
                ("format", words(BootTest.Disk.Format.allCases.map(\.rawValue), "What is on it; default blank.")),
                ("label", string("Of the file system.")),
            ], required: ["size"])
        return object(
            [
                ("name", string(pattern: TextFormat.name.pattern)), ("when", reference("when")),
                ("iso", string("The artifact in the machine's CD drive.")),
                ("disk", string("The artifact that is the machine's disk.")),
                ("netboot", string("The artifact, a folder, that a web server shows; netboot.ipxe in it is started.")),
                ("kernel", string("The artifact that is started in place of the boot loader of an ISO.")),
                ("initrd", string("Its initramfs.")), ("cmdline", string("Added to its command line.")),
                ("firmware", array(words(BootTest.Firmware.allCases.map(\.rawValue)))),
                ("memory", size("Of the machine.")), ("cpus", integer(minimum: 1)),
                ("disks", array(any([size("Of an empty disk."), disk]), "They live as long as the test.")),
                ("seed", object([("user-data", string()), ("meta-data", string()), ("network-config", string())])),
                ("cluster", cluster),
                ("machines", integer("Of a cluster.", minimum: 1, maximum: BootTest.mostMachines)),
                ("timeout", integer("Seconds to boot.", minimum: 1)), ("checks", array(reference("check"))),
            ], required: ["name"])
    }

    private static var cluster: JSON {
        object(
            [
                ("root", described(reference("reference"), "The root file system that the control plane runs in.")),
                ("run", string("The script of the recipe that makes the control plane.")),
                ("environment", environment), ("timeout", integer("Seconds until it is ready.", minimum: 1)),
            ], required: ["root", "run"])
    }

    private static var check: JSON {
        let always = JSON.object([("const", .bool(true))])
        return object([
            ("unit", string("A systemd unit.")),
            ("state", words(BootTest.UnitState.allCases.map(\.rawValue), "Of the unit.")),
            ("command", string("A shell command.")),
            ("on", words(["cluster"], "Where the command runs; else in each machine.")),
            ("exit", integer("Status of the command.", minimum: 0, maximum: 255)),
            ("output", string("The command's whole output, trimmed.")),
            ("contains", string("A part of the command's output.")),
            ("no-failed-units", always), ("except", array(string("A unit that may fail."))),
            ("reboot", described(always, "The machine starts again, with its disks.")),
            ("disk", integer("A disk of the test; the first is 0.", minimum: 0)),
            ("unchanged", described(always, "The disk's bytes are those it had when the test began.")),
            ("timeout", integer("Seconds until it must hold.", minimum: 1)),
        ])
    }

    /// An option of a stage or a parameter of a recipe.
    private static func definition(parameter: Bool) -> JSON {
        let types = parameter ? OptionType.parameterWords : OptionType.words
        var properties: [(String, JSON)] = [
            ("type", words(types, "What values may be.")), ("summary", string("One line.")),
            ("required", flag("Has no default and must be given.")), ("default", .bool(true)),
            ("values", array(string(), "Of an enum.")), ("minimum", integer()), ("maximum", integer()),
            ("format", words(TextFormat.allCases.map(\.rawValue), "Of a string.")),
        ]
        if !parameter {
            properties.append(("of", described(.bool(true), "Of a list or map: a type, or its definition.")))
            properties.append(("fields", map(reference("option"), "Of an object.")))
            properties.append(("same", map(string(), "Of an enum: values that are taken as others.")))
        }
        return object(properties, required: ["type"])
    }
}

/// The words of JSON Schema.
extension RecipeSchema {
    private static func reference(_ name: String) -> JSON { .object([("$ref", .string("#/$defs/\(name)"))]) }

    private static func string(_ description: String = "", pattern: String? = nil) -> JSON {
        let schema = JSON.object([("type", .string("string"))] + (pattern.map { [("pattern", .string($0))] } ?? []))
        return described(schema, description)
    }

    private static func words(_ words: [String], _ description: String = "") -> JSON {
        described(.object([("enum", .array(words.map(JSON.string)))]), description)
    }

    private static func flag(_ description: String = "") -> JSON {
        described(.object([("type", .string("boolean"))]), description)
    }

    private static func integer(_ description: String = "", minimum: Int64? = nil, maximum: Int64? = nil) -> JSON {
        var fields: [(String, JSON)] = [("type", .string("integer"))]
        if let minimum { fields.append(("minimum", .int(minimum))) }
        if let maximum { fields.append(("maximum", .int(maximum))) }
        return described(.object(fields), description)
    }

    private static func size(_ description: String) -> JSON {
        described(any([integer(minimum: 1), string(pattern: TextFormat.size.pattern)]), description)
    }

    private static func array(_ items: JSON, _ description: String = "") -> JSON {
        described(.object([("type", .string("array")), ("items", items)]), description)
    }

    private static func map(_ values: JSON, _ description: String = "") -> JSON {
        described(.object([("type", .string("object")), ("additionalProperties", values)]), description)
    }

    /// - Parameter extra: further fields, before the others.
    private static func object(
        _ properties: [(String, JSON)], required: [String] = [], extra: [(String, JSON)] = []
    ) -> JSON {
        var fields = extra
        fields.append(("type", .string("object")))
        fields.append(("properties", .object(properties)))
        if !required.isEmpty { fields.append(("required", .array(required.map(JSON.string)))) }
        fields.append(("additionalProperties", .bool(false)))
        return .object(fields)
    }

    private static func any(_ choices: [JSON]) -> JSON { .object([("anyOf", .array(choices))]) }

    /// The value, or `{when: …, value: …}`.
    private static func conditional(_ schema: JSON) -> JSON {
        any([schema, object([("when", reference("when")), ("value", schema)], required: ["when", "value"])])
    }

    /// `{when: …, values: […]}`, an item of a list.
    private static func several(_ schema: JSON) -> JSON {
        object([("when", reference("when")), ("values", array(schema))], required: ["when", "values"])
    }

    private static func described(_ schema: JSON, _ text: String) -> JSON {
        text.isEmpty ? schema : adding(schema, "description", .string(text))
    }

    private static func adding(_ schema: JSON, _ key: String, _ value: JSON) -> JSON {
        guard case .object(let fields) = schema else { return .object([(key, value)]) }
        return .object(fields.filter { $0.0 != key } + [(key, value)])
    }
}
