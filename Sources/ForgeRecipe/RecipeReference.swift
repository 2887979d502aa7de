import ForgeBase

/// Writes the reference of the recipe format and of every stage, in Markdown.
///
/// What a table can take from the program is taken from it, so that the text can't grow old.
package enum RecipeReference {
    /// The text of `docs/recipe-reference.md`.
    package static func markdown(_ catalog: StageCatalog) throws -> String {
        var text = introduction
        text += "\n## Formats of strings\n\n| format | a value must be |\n|---|---|\n"
        for format in TextFormat.allCases { text += "| `\(format.rawValue)` | \(format.summary) |\n" }
        text += "\n" + tests
        let stages = try catalog.all()
        text += "\n## Stages\n\n| stage | what it makes |\n|---|---|\n"
        for stage in stages { text += "| [`\(stage.name)`](#\(stage.name)) | \(cell(stage.summary)) |\n" }
        for stage in stages { text += "\n" + section(stage) }
        return text
    }

    private static func section(_ stage: StageDefinition) -> String {
        var text = "### \(stage.name)\n\n\(stage.summary)\n"
        if !stage.description.isEmpty { text += "\n\(escaped(trimmed(stage.description)))\n" }
        let place =
            switch stage.run {
            case .script: "A script in build root `\(stage.buildRoot ?? "")`"
            case .builtin: "Built in"
            }
        text += "\n\(place), version \(stage.version)."
        if let lock = stage.lock { text += " Pinned by the lock (`\(lock)`)." }
        text += "\n"
        if !stage.options.isEmpty {
            text += "\n| option | type | default | |\n|---|---|---|---|\n"
            for option in stage.options { text += rows(option, prefix: "") }
        }
        if !stage.inputs.isEmpty {
            text += "\n| input | kind | |\n|---|---|---|\n"
            for input in stage.inputs {
                let kind = input.kind.rawValue + (input.many ? ", many" : "") + (input.optional ? ", optional" : "")
                text += "| `\(input.name)` | \(kind) | \(cell(input.summary)) |\n"
            }
        }
        text += "\n| output | kind | |\n|---|---|---|\n"
        for output in stage.outputs {
            let media = output.mediaType.map { " `\($0)`" } ?? ""
            text += "| `\(output.name)` | \(output.kind.rawValue)\(media) | \(cell(output.summary)) |\n"
        }
        return text
    }

    /// An option and the fields inside it.
    private static func rows(_ option: OptionDefinition, prefix: String) -> String {
        let name = prefix + option.name
        let value =
            option.required ? "**required**" : option.defaultValue.map { cell("`\(shortened($0))`") } ?? "—"
        let same = option.same.sorted { $0.key.precedes($1.key) }.map { "; `\($0.key)` is taken as `\($0.value)`" }
        let type = words(option.type) + same.joined()
        var text = "| `\(name)` | \(cell(type)) | \(value) | \(cell(option.summary)) |\n"
        for field in nested(option.type) { text += rows(field, prefix: "\(name)\(mark(option.type)).") }
        return text
    }

    private static func nested(_ type: OptionType) -> [OptionDefinition] {
        switch type {
        case .object(let fields): fields
        case .list(let item), .map(let item): nested(item)
        default: []
        }
    }

    /// How a path into a value of the type goes on.
    private static func mark(_ type: OptionType) -> String {
        switch type {
        case .list(let item): "[]" + mark(item)
        case .map(let item): ".*" + mark(item)
        default: ""
        }
    }

    private static func words(_ type: OptionType) -> String {
        switch type {
        case .string(let format): format.map { "\($0.rawValue)" } ?? "string"
        case .integer(let minimum?, let maximum?): "integer, \(minimum) to \(maximum)"
        case .integer(let minimum?, nil): "integer, at least \(minimum)"
        case .integer(nil, let maximum?): "integer, at most \(maximum)"
        case .integer: "integer"
        case .boolean: "true or false"
        case .enumeration(let values): values.map { "`\($0)`" }.joined(separator: ", ")
        case .path: "path"
        case .list(let item): "list of " + words(item)
        case .map(let item): "map of " + words(item)
        case .object: "object"
        case .any: "any"
        }
    }

    /// A default, short enough for a table.
    private static func shortened(_ value: JSON) -> String {
        let text = value.description
        return text.count > 120 ? text.prefix(119) + "…" : text
    }

    /// Text whose `<` opens no HTML, outside of code.
    private static func escaped(_ text: String) -> String {
        var code = false
        var out = ""
        for character in text {
            if character == "`" { code.toggle() }
            if character == "<", !code { out += "&lt;" } else { out.append(character) }
        }
        return out
    }

    /// Text that can stand in a cell of a table.
    private static func cell(_ text: String) -> String {
        escaped(trimmed(text)).split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
            .split(separator: "\n").joined(separator: " ")
    }

    private static func trimmed(_ text: String) -> String {
        var text = text[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    private static let introduction = """
        <!-- Written by the tests: run them with FORGE_RECORD=1 after a change of a stage. -->
        # Recipe reference

        A recipe is `recipes/<name>/recipe.yaml`. It says which stages make what, and which outputs are published.
        `forge schema` prints a JSON Schema of it, for completion in an editor; with the YAML language server:
        `# yaml-language-server: $schema=recipe.schema.json` as the first line.

        | key | | |
        |---|---|---|
        | `forge` | required | version of this format: `1` |
        | `name` | required | the name of the recipe's folder |
        | `summary` | | one line for lists |
        | `architecture` | required | `amd64` or `arm64` |
        | `parameters` | | what `--set name=value` can change |
        | `stages` | required | the steps, by an id that you choose |
        | `artifacts` | required | path below `out/` → `<id>.<output>` |
        | `tests` | | boots in a virtual machine |

        Every key is checked before anything runs, and every fault is reported at once, with file, line and column.

        ## YAML

        YAML 1.2 with libyaml. A word is `null`, `true`, `false` or a decimal integer if it looks like one, and else a
        string: `on`, `yes`, `1.30` and `0644` are strings, so that versions and modes stay what they are. In quotes
        everything is a string. Anchors and aliases work. Tags, several documents in one file and keys given twice are
        errors.

        ## Parameters

        ```yaml
        parameters:
          suite: {type: enum, values: [bookworm, trixie], default: bookworm, summary: Debian's release.}
        ```

        A parameter is a `string` (with a `format`, if you like), an `integer` (`minimum`, `maximum`), a `boolean` or an
        `enum` (`values`). One without a default must be set on the command line.

        `${suite}` stands for the value, in options, inputs, paths of artifacts and tests. A value that is `${suite}`
        and nothing else keeps the parameter's type. `$${` is a plain `${`; `$HOME` and `$(id)` need no care.

        ## Conditions

        `when: {parameter: value}` holds if the parameter has that value, `when: {parameter: [a, b]}` if it has one of
        them; with several parameters all must fit.

        - Beside `stage:` it leaves out a stage, beside `name:` of a test the test.
        - `{when: …, value: x}` in place of a value stands for `x` or for nothing: as the item of a list, an option, an
          input or an artifact.
        - `{when: …, values: [x, y]}` as the item of a list stands for several items.

        ## Stages and inputs

        ```yaml
        stages:
          base:
            stage: rootfs                          # a folder of stages/, or of stages/ beside the recipe
            inputs: {packages: packages.packages}  # <id>.<output>; a list for an input of many
            options: {hostname: node}
            environment: {LANG: C.UTF-8}           # fixed variables, for scripts only
            timeout: 30m                           # or 90s, 2h; default: the stage's, or none
        ```

        An input is the output of another stage, or one of these; an input of many takes a list of any of them.

        | input | is | |
        |---|---|---|
        | `<id>.<output>` | file or tree | what another stage makes |
        | `{path: src/main.c}` | file, or tree of a folder | below the recipe's folder |
        | `{glob: "src/**/*.c"}` | tree | the files that fit, with their paths; `except:` leaves some out; none is an error unless `optional: true` |
        | `{url: "https://…", sha256: …}` | file | a list of URLs is tried in order; `size:` in bytes, if you like |
        | `{git: "https://…", commit: …}` | tree | of that commit; `ref:`, `submodules: true`, `tree:` (SHA-256 of the tree) if you like |

        `glob` and `except` take a pattern or a list: `*` part of a name, `?` a character, `[a-z]` and `[!a-z]`, `**` any
        number of folders, `\\` before a character that is meant as it is. Names with a dot in front count as others do.

        A path in an option is relative to the recipe's folder and must stay in it.

        ## Types of options

        | type | written | in `stage.yaml` |
        |---|---|---|
        | `string` | `text` | `format:` a name of the table below |
        | `integer` | `3` | `minimum:`, `maximum:` |
        | `boolean` | `true` | |
        | `enum` | one of its words | `values: [a, b]`; `same: {b: a}` takes b as a |
        | `path` | a file or folder of the recipe | |
        | `list` | `[a, b]` | `of:` a type or a definition |
        | `map` | `{key: value}`, any keys | `of:` a type or a definition |
        | `object` | `{key: value}`, known keys | `fields:` definitions by name |
        | `any` | anything | |

        Each definition has `type`, `summary`, and `required: true` or a `default`, or neither: then a value that is not
        given is absent.

        """

    private static let tests = """
        ## Tests

        ```yaml
        tests:
          - name: boot
            iso: node.iso                          # what the machine starts from: see below
            firmware: [bios, uefi]                 # once with each; default [bios]
            memory: 2G                             # default 2G
            cpus: 2                                # default 2
            disks: [8G, {size: 1G, format: ext4, label: FORGE_DATA}]     # see below
            seed: {user-data: "#cloud-config"}     # NoCloud; also meta-data, network-config
            timeout: 300                           # seconds to boot
            checks:                                # each is tried again until it holds, for `timeout` seconds (60)
              - {unit: containerd.service, state: active}        # active, inactive, failed
              - {command: hostname, output: node}                # the whole output, trimmed; exit: 0
              - {command: uname -r, contains: amd64}
              - {no-failed-units: true, except: [a.service]}
              - {reboot: true}                                   # with the same disks; `timeout` is that of the boot
              - {disk: 1, unchanged: true}                       # the bytes are those it had when the test began
          - name: join
            iso: node.iso
            machines: 1                            # 1 to 9; --machines says otherwise
            cluster:                               # for `forge test --join` only: see Booting
              root: control-plane.tree             # <id>.<output>: the root file system that the script runs in
              run: tests/control-plane             # a script of the recipe
              environment: {CA_HASH: wrong}        # its variables
              timeout: 300                         # seconds until the machines can join
            checks:
              - {on: cluster, command: kubectl get nodes, contains: " Ready ", timeout: 600}
              - {unit: kubelet.service}                          # in each machine
        ```

        | the machine starts | |
        |---|---|
        | `iso: node.iso` | from a CD, by the ISO's own boot loader |
        | `disk: disk.qcow2` | from a disk; what it writes there is thrown away |
        | `kernel: vmlinuz`, `initrd: initrd.img` | these, and no boot loader; `cmdline:` is added to `console=ttyS0,115200` |
        | the same with `iso:` | these, with the ISO in the drive; `forge.media=` with its label is added, too |

        `disks` are attached as `/dev/vda`, `/dev/vdb` … in their order (behind the one of `disk:`) and live as long as the
        test, across reboots. A size alone is a blank disk; `format: ext4` makes a file system, with a `label` if you like.

        """
}
