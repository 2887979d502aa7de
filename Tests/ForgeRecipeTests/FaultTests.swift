import ForgeBase
import Testing

/// An edit of the good recipe, and every fault it must give, as `forge` prints them.
struct FaultyRecipe: Sendable, CustomTestStringConvertible {
    var name: String
    var old: String
    var new: String
    var faults: String
    var testDescription: String { name }
}

@Suite struct FaultTests {
    @Test(arguments: FaultyRecipe.all) func faultIsReported(_ faulty: FaultyRecipe) throws {
        let text = try #require(Project.recipe.replacing(first: faulty.old, with: faulty.new))
        let faults = try Project().faults(text).map { $0.replacing(first: "recipes/node/recipe.yaml:", with: "") ?? $0 }
        #expect(faults.joined(separator: "\n") == faulty.faults)
    }

    @Test func tableIsReadWhole() { #expect(FaultyRecipe.all.count == 75) }
}

extension FaultyRecipe {
    /// The table below: `#` a name, `-` lines of the good recipe, `+` what stands there instead, `=` the faults.
    static let all: [FaultyRecipe] = {
        var all: [FaultyRecipe] = []
        for line in table.split(separator: "\n").map(String.init) {
            let text = String(line.dropFirst(2))
            func add(to part: inout String) { part += part.isEmpty ? text : "\n" + text }
            switch line.first {
            case "#": all.append(FaultyRecipe(name: text, old: "", new: "", faults: ""))
            case "-": add(to: &all[all.count - 1].old)
            case "+": add(to: &all[all.count - 1].new)
            default: add(to: &all[all.count - 1].faults)
            }
        }
        return all
    }()

    // swift-format-ignore
    private static let table = #"""
        # unknown top-level key
        - summary: A node.
        + sumary: A node.
        = 3:1: unknown key “sumary” in the recipe; did you mean “summary”?
        =   → known keys: architecture, artifacts, forge, name, parameters, stages, summary, tests
        # missing architecture
        - architecture: amd64
        + #
        = 1:1: the recipe lacks “architecture”
        # unknown architecture
        - architecture: amd64
        + architecture: amd46
        = 4:15: “architecture” of the recipe must be one of amd64, arm64, not “amd46”; did you mean “amd64”?
        # wrong format version
        - forge: 1
        + forge: 2
        = 1:8: “forge” must be 1, not the number 2
        =   → it is the version of the recipe format; this forge reads version 1
        # name differs from folder
        - name: node
        + name: nod
        = 2:7: the recipe is called “nod”, but its place says “node”
        =   → write name: node, or rename the folder
        # unknown stage
        - stage: rootfs
        + stage: rootsf
        = 23:12: there is no stage “rootsf”; did you mean “rootfs”?
        =   → `forge schema reference` describes every stage
        # unknown key in a stage instance
        - inputs: {packages: packages.packages}
        + input: {packages: packages.packages}
        = 22:3: stage “base” lacks the input “packages”
        =   packages: Packages to install.
        = 24:5: unknown key “input” in stage “base”; did you mean “inputs”?
        =   → known keys: environment, inputs, options, stage, timeout, versions, when
        # unknown option
        - hostname: node-${suite}
        + hostnmae: node-${suite}
        = 26:7: unknown option “hostnmae” in stage “base”; did you mean “hostname”?
        =   → options: files, hostname, sysctl
        # missing required option
        - suites: ["${suite}", "${suite}-updates"]
        + recommends: true
        = 14:3: stage “packages” lacks the option “suites”
        =   suites: Suites in order.
        # enum value
        - options: {level: "${level}"}
        + options: {compression: lz5}
        = 13:28: “compression” of stage “image” must be one of zstd, lz4, xz, not “lz5”; did you mean “lz4”?
        # integer as text
        - level: "${level}"
        + level: "19"
        = 13:22: “level” of stage “image” must be an integer, not “19”
        =   → write 19, without quotes
        # integer too large
        - level: "${level}"
        + level: 23
        = 13:22: “level” of stage “image” must be at most 22, not the number 23
        # boolean written yes
        - suites: ["${suite}", "${suite}-updates"]
        + suites: [a]
        +       recommends: yes
        = 18:19: “recommends” of stage “packages” must be true or false, not “yes”
        =   → write true
        # string written as a number
        - hostname: node-${suite}
        + hostname: 12
        = 26:17: “hostname” of stage “base” must be a string, not the number 12
        =   → quote it: "12"
        # list written as one item
        - suites: ["${suite}", "${suite}-updates"]
        + suites: bookworm
        = 17:15: “suites” of stage “packages” must be a list, not “bookworm”
        =   → write a list, also for one item: ["bookworm"]
        # hostname format
        - hostname: node-${suite}
        + hostname: node_${suite}
        = 26:17: “hostname” of stage “base” must be a host name: letters, digits and “-”, parts of up to 63 separated by “.”, not “node_bookworm”
        # unknown field of an object in a list
        - source: files/motd
        + sourec: files/motd
        = 28:29: unknown option “sourec” in item 1 of “files” of stage “base”; did you mean “source”?
        =   → options: content, mode, path, source
        # missing field of an object in a list
        - {path: /etc/motd, source: files/motd}
        + {source: files/motd}
        = 28:11: item 1 of “files” of stage “base” lacks the option “path”
        # file that is not there
        - source: files/motd
        + source: files/mot
        = 28:37: “source” of item 1 of “files” of stage “base”: the recipe's folder has no “files/mot”; did you mean “motd”?
        # path out of the recipe
        - source: files/motd
        + source: ../node/files/motd
        = 28:37: “source” of item 1 of “files” of stage “base” must be a path relative to the recipe's folder, without “.” and “..”, not “../node/files/motd”
        # octal mode
        - mode: 0755
        + mode: rwx
        = 29:78: “mode” of item 2 of “files” of stage “base” must be permissions as three or four octal digits, such as 0644, not “rwx”
        # empty option
        - hostname: node-${suite}
        + hostname:
        = 26:16: “hostname” of stage “base” has no value
        =   → give it one, or leave the key out
        # unknown parameter in a string
        - hostname: node-${suite}
        + hostname: node-${siute}
        = 26:17: unknown parameter “siute”; did you mean “suite”?
        =   → declare it below “parameters”, or write $${siute} for a plain ${siute}
        # shell variable in braces
        - $${HOME}
        + ${HOME}
        = 29:43: unknown parameter “HOME”
        =   → declare it below “parameters”, or write $${HOME} for a plain ${HOME}
        # brace without end
        - $${HOME}
        + ${HOME
        = 29:43: “${” without “}”
        =   → write $${ for a plain ${
        # unknown parameter in a condition
        - when: {suite: trixie}
        + when: {suit: trixie}
        = 20:19: unknown parameter “suit”; did you mean “suite”?
        =   → parameters: suite, level, debug
        # value that a parameter can't have
        - when: {suite: trixie}
        + when: {suite: trxie}
        = 20:26: parameter “suite” must be one of bookworm, trixie, not “trxie”; did you mean “trixie”?
        # condition without value
        - {when: {suite: trixie}, value: systemd-cryptsetup}
        + {when: {suite: trixie}, package: systemd-cryptsetup}
        = 20:12: a value with “when” must have “value” (or “values” in a list) and nothing else beside it
        =   → write {when: {parameter: value}, value: …}
        # condition that is no mapping
        - when: {suite: trixie}
        + when: trixie
        = 20:18: “when” must be a mapping of parameters and values, not “trixie”
        =   → write when: {parameter: value} or when: {parameter: [value, value]}
        # unknown input
        - inputs: {packages: packages.packages}
        + inputs: {package: packages.packages}
        = 24:14: unknown input “package” in stage “base”; did you mean “packages”?
        =   → inputs: packages, layers
        # input of an unknown stage
        - packages: packages.packages
        + packages: pakages.packages
        = 24:24: input “packages” of stage “base”: the recipe has no stage “pakages”; did you mean “packages”?
        # input of an unknown output
        - packages: packages.packages
        + packages: packages.package
        = 24:24: input “packages” of stage “base”: stage “packages” has no output “package”; did you mean “packages”?
        =   → outputs: packages.packages
        # input without output
        - packages: packages.packages
        + packages: packages
        = 24:24: input “packages” of stage “base” must be <stage>.<output>, not “packages”
        =   → write packages.packages
        # input of the wrong kind
        - packages: packages.packages
        + packages: image.image
        = 24:24: input “packages” of stage “base” takes a tree, but image.image is a file
        =   → outputs that are a tree: packages.packages, base.tree
        # list for one input
        - packages: packages.packages
        + packages: [packages.packages]
        = 24:24: input “packages” of stage “base” takes one output, not a list
        # circle
        - inputs: {packages: packages.packages}
        + inputs: {packages: packages.packages, layers: [base.tree]}
        = 22:3: the stages need each other in a circle: base ← base
        =   → remove one of these inputs
        # input from a stage that is left out
        - inputs: {packages: packages.packages}
        + inputs: {packages: packages.packages, layers: debug-image.image}
        = 24:51: input “layers” of stage “base”: stage “debug-image” is left out by its “when”
        =   → give this reference the same condition: {when: …, value: …}
        # circle of three
        - inputs: {packages: packages.packages}
        + inputs: {packages: packages.packages, layers: [over.tree]}
        +   over: {stage: rootfs, inputs: {packages: packages.packages, layers: base.tree}}
        +   unused:
        +     stage: rootfs
        +     inputs: {packages: packages.packages}
        = 22:3: the stages need each other in a circle: base ← over ← base
        =   → remove one of these inputs
        # parameter of an unknown type
        - {type: integer, default: 19, summary: Compression level.}
        + {type: int, default: 19}
        = 7:17: “type” of parameter “level” must be one of string, integer, boolean, enum, not “int”
        # values outside a list
        - hostname: node-${suite}
        + hostname: {when: {debug: false}, values: [a]}
        = 26:48: “values” can only stand in a list
        =   → write value: …
        # two faults far apart
        - architecture: amd64
        + architecture: amd46
        + name2: x
        = 4:15: “architecture” of the recipe must be one of amd64, arm64, not “amd46”; did you mean “amd64”?
        = 5:1: unknown key “name2” in the recipe; did you mean “name”?
        =   → known keys: architecture, artifacts, forge, name, parameters, stages, summary, tests
        # alias without anchor
        - hostname: node-${suite}
        + hostname: *name
        = 26:17: no anchor “&name” before this alias
        # option that is a mapping
        - hostname: node-${suite}
        + hostname: {name: node}
        = 26:17: “hostname” of stage “base” must be a string, not a mapping
        # artifact of an unknown stage
        - node-${suite}.squashfs: image.image
        + node-${suite}.squashfs: imag.image
        = 36:27: artifact “node-bookworm.squashfs”: the recipe has no stage “imag”; did you mean “image”?
        # artifact outside
        - node-${suite}.squashfs: image.image
        + ../node.squashfs: image.image
        = 36:3: “../node.squashfs” can't be the path of an artifact
        =   → use a relative path of letters, digits and . _ + - = @ ~ without “.” and “..” as parts
        = 40:11: the test: the recipe publishes no file “node-bookworm.squashfs”
        =   → files: ../node.squashfs
        # artifact twice
        - debug.squashfs: {when: {debug: true}, value: debug-image.image}
        + node-bookworm.squashfs: image.image
        = 37:3: artifact “node-bookworm.squashfs” is already given in line 36
        # artifact below an artifact
        - debug.squashfs: {when: {debug: true}, value: debug-image.image}
        + node-bookworm.squashfs/a: image.image
        = 37:3: artifact “node-bookworm.squashfs/a” and artifact “node-bookworm.squashfs” of line 36 can't both be: one is a folder of the other
        # artifact of a stage that is left out
        - debug.squashfs: {when: {debug: true}, value: debug-image.image}
        + debug.squashfs: debug-image.image
        = 37:19: artifact “debug.squashfs”: stage “debug-image” is left out by its “when”
        =   → give this reference the same condition: {when: …, value: …}
        # no artifacts
        - node-${suite}.squashfs: image.image
        -   debug.squashfs: {when: {debug: true}, value: debug-image.image}
        + debug.squashfs: {when: {debug: true}, value: debug-image.image}
        = 36:3: the recipe publishes nothing
        =   → name what it makes: artifacts: {node.iso: iso.image}
        = 39:11: the test: the recipe publishes no file “node-bookworm.squashfs”
        # parameter of a list type
        - {type: integer, default: 19, summary: Compression level.}
        + {type: list, of: string, default: []}
        = 7:17: “type” of parameter “level” must be one of string, integer, boolean, enum, not “list”
        # default of the wrong type
        - {type: integer, default: 19, summary: Compression level.}
        + {type: integer, default: high}
        = 7:35: the default of parameter “level” must be an integer, not “high”
        # parameter without value
        - {type: integer, default: 19, summary: Compression level.}
        + {type: integer}
        = 7:3: parameter “level” has no default and is not set
        =   → give it a default, or build with --set level=…
        # test of an unknown artifact
        - disk: node-${suite}.squashfs
        + disk: node.squashfs
        = 40:11: the test: the recipe publishes no file “node.squashfs”
        =   → files: node-bookworm.squashfs
        # test without medium
        - disk: node-${suite}.squashfs
        + cpus: 2
        = 39:5: the test must have one of “iso”, “disk” and “netboot”, or “kernel” and “initrd”
        # kernel without initramfs
        - disk: node-${suite}.squashfs
        + kernel: node-${suite}.squashfs
        = 39:5: the test lacks “initrd”
        =   → a test whose machine starts a kernel by itself names “kernel” and “initrd”, and “cmdline” for what it adds to the kernel command line
        # kernel beside a disk
        - disk: node-${suite}.squashfs
        + disk: node-${suite}.squashfs
        +     cmdline: panic=1
        = 39:5: the test lacks “kernel”
        =   → a test whose machine starts a kernel by itself names “kernel” and “initrd”, and “cmdline” for what it adds to the kernel command line
        = 39:5: the test has “cmdline”, which is for an “iso” or for no medium
        # netboot of a file
        - disk: node-${suite}.squashfs
        -     firmware: [bios, uefi]
        + netboot: node-${suite}.squashfs
        +     firmware: [bios, uefi]
        = 40:14: the test: the recipe publishes no folder “node-bookworm.squashfs”
        # disk of a test
        - memory: 3G
        + disks: [1G, 7, {format: ext4}, {size: 1G, label: X}, {size: 1G, format: ext3}, {size: 1G, format: ext4, label: 0123456789abcdefg}]
        = 42:17: a disk of the test must be a size such as 8G, or a mapping with “size”, not the number 7
        = 42:20: a disk of the test lacks “size”
        = 42:36: a blank disk has no label
        =   → say which file system: format: ext4
        = 42:77: “format” of a disk of the test must be one of blank, ext4, not “ext3”; did you mean “ext4”?
        = 42:84: a label of ext4 has at most 16 bytes, not 17
        # machines without a cluster
        - memory: 3G
        + machines: 2
        = 39:5: only a test with “cluster” has several machines
        # a cluster of nothing
        - memory: 3G
        + cluster: {rot: base.tree}
        = 42:14: a test with “cluster” has no “seed”
        =   → the script of the cluster makes the seed of each machine
        = 42:14: “cluster” of the test lacks “root”
        = 42:14: “cluster” of the test lacks “run”
        = 42:15: unknown key “rot” in “cluster” of the test; did you mean “root”?
        =   → known keys: environment, root, run, timeout
        # a cluster's script that is not there, its root a file
        - seed: {user-data: "#cloud-config"}
        + cluster: {root: image.image, run: files/mot, environment: {FORGE_X: y}}
        = 43:21: “root” of the test's cluster must be a tree, but image.image is a file
        =   → name the root file system of a stage, for example one made by rootfs
        = 43:39: “run” of the test's cluster: the recipe's folder has no “files/mot”; did you mean “motd”?
        = 43:64: forge sets the variable “FORGE_X” of the cluster of the test itself
        # a cluster's script that can't be run
        - seed: {user-data: "#cloud-config"}
        + cluster: {root: base.tree, run: files/motd}
        = 43:37: “run” of the test's cluster: “files/motd” is no executable file
        =   → run `chmod +x` on it
        # a check on a cluster that is not there
        - {unit: ssh.service}
        + {on: cluster, command: kubectl get nodes}
        = 45:9: a check is on the cluster, but the test has none
        # check of a disk that is not there
        - {unit: ssh.service}
        + {disk: 0, unchanged: true}
        = 45:9: a check is about disk 0, but the test has none
        =   → the first one of “disks” is 0
        # check of a disk that says nothing
        - {unit: ssh.service}
        + {disk: 0}
        = 45:9: a check lacks “unchanged”
        # no reboot
        - {unit: ssh.service}
        + {reboot: false}
        = 45:18: “reboot” can only be true
        =   → leave the check out
        # firmware
        - firmware: [bios, uefi]
        + firmware: [bios, ufei]
        = 41:22: “firmware” of the test must be one of bios, uefi, not “ufei”; did you mean “uefi”?
        # memory
        - memory: 3G
        + memory: 3 GB
        = 42:13: “memory” of the test must be a size such as 512M or 2G, not “3 GB”
        # check of nothing
        - {unit: ssh.service}
        + {service: ssh.service}
        = 45:9: a check must have one of “unit”, “command”, “no-failed-units”, “reboot” and “disk”
        # key twice
        - name: node
        + name: node
        + name: node
        = 3:1: “name” is already given in line 2
        # tag
        - hostname: node-${suite}
        + hostname: !!str node
        = 26:17: YAML tags are not supported
        =   → leave the tag out; quote a scalar to make it a string
        # YAML that is broken
        - inputs: {tree: base.tree}
        -     options: {level: "${level}"}
        + inputs: {tree: base.tree
        +     options: x
        = 13:12: not valid YAML: did not find expected ',' or '}'
        =   while parsing a flow mapping that starts at line 12, column 13
        # tab
        -   level: {type
        + 	level: {type
        = 7:1: not valid YAML: found character that cannot start any token
        =   while scanning for the next token that starts at line 7, column 1
        =   → indent with spaces: YAML allows no tabs there
        # colon in a text
        - summary: A node.
        + summary: A node: the best.
        = 3:16: not valid YAML: mapping values are not allowed in this context
        =   → check the indentation, and quote a text that contains “: ”
        # stage id
        -   image:
        -     stage: squashfs
        +   my image:
        +     stage: squashfs
        = 10:3: “my image” is no name for a stage of a recipe
        =   → use letters, digits, “_” and “-”, and start with a letter or digit
        = 36:27: artifact “node-bookworm.squashfs”: the recipe has no stage “image”
        """#
}
