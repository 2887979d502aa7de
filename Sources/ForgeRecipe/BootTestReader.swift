import ForgeBase
import ForgeSystem

/// Reads the `tests` of a recipe.
struct BootTestReader {
    let faults: Faults
    let expander: Expander
    let artifacts: [Artifact]
    let graph: StageGraph
    /// The recipe's folder and its file, as messages show it.
    let directory: String
    let file: String
    /// Whether artifacts are missing because of faults that are reported.
    let faulty: Bool

    /// The tests that the parameters choose.
    func tests(_ items: [YAMLNode]) -> [BootTest] {
        var tests: [BootTest] = []
        for item in items {
            guard let fields = Fields(item, "a test", faults) else { continue }
            guard fields.node("when").map(expander.holds) ?? true else { continue }
            guard case .mapping(let entries) = item.content else { continue }
            let rest = YAMLNode(.mapping(entries.filter { $0.key != "when" }), at: item.location)
            guard let expanded = expander.expand(rest), let test = test(expanded) else { continue }
            if let other = tests.first(where: { $0.name == test.name }) {
                faults.add("test “\(test.name)” is already given in line \(other.location.line)", at: test.location)
            }
            tests.append(test)
        }
        return tests
    }

    private func test(_ node: YAMLNode) -> BootTest? {
        guard let fields = Fields(node, "the test", faults) else { return nil }
        let name = fields.string("name", required: true) ?? ""
        if !name.isEmpty, !TextFormat.name.accepts(name) {
            faults.add("“name” of the test must be \(TextFormat.name.summary)", at: fields.location)
        }
        let kernel = kernel(fields)
        let medium = medium(fields, kernel)
        let disks = disks(fields)
        let cluster = cluster(fields, medium)
        let seconds = fields.int("timeout", 1...86_400) ?? 300
        let test = BootTest(
            name: name, medium: medium ?? .nothing, kernel: kernel, firmware: firmware(fields, medium),
            memory: fields.size("memory") ?? 2 << 30, cpus: fields.int("cpus", 1...64) ?? 2, disks: disks,
            seed: seed(fields), seconds: seconds,
            checks: fields.list("checks").compactMap {
                check($0, disks: disks.count, bootSeconds: seconds, hasCluster: fields.node("cluster") != nil)
            }, cluster: cluster, machines: machines(fields), location: node.location)
        fields.finish()
        return medium == nil ? nil : test
    }

    private func firmware(_ fields: Fields, _ medium: BootTest.Medium?) -> [BootTest.Firmware] {
        guard let node = fields.node("firmware") else { return [.bios] }
        let words = BootTest.Firmware.allCases.map(\.rawValue)
        let firmware = fields.list("firmware").compactMap { node in
            fields.word(node, "“firmware” of the test", of: words).flatMap(BootTest.Firmware.init(rawValue:))
        }
        if case .netboot = medium, firmware.contains(.uefi) {
            faults.add(
                "a test with “netboot” starts by BIOS, not by UEFI", at: node.location,
                remedy: "QEMU's network card brings iPXE for the BIOS; leave “firmware” out")
        }
        return firmware
    }

    // MARK: What the machine starts from

    private func medium(_ fields: Fields, _ kernel: BootTest.Kernel?) -> BootTest.Medium? {
        let iso = fields.node("iso")
        let disk = fields.node("disk")
        let netboot = fields.node("netboot")
        // Once there is a key of the kernel, what it lacks is reported already.
        let started = ["kernel", "initrd", "cmdline"].first { fields.node($0) != nil }
        switch (iso, disk, netboot) {
        case (let iso?, nil, nil): return artifact(iso, fields, .file).map { .iso($0) }
        case (nil, let node?, nil), (nil, nil, let node?):
            if let started {
                faults.add("the test has “\(started)”, which is for an “iso” or for no medium", at: fields.location)
            }
            return disk != nil
                ? artifact(node, fields, .file).map { .disk($0) } : artifact(node, fields, .tree).map { .netboot($0) }
        case (nil, nil, nil) where started != nil: return kernel == nil ? nil : .nothing
        default:
            faults.add(
                "the test must have one of “iso”, “disk” and “netboot”, or “kernel” and “initrd”", at: fields.location)
            return nil
        }
    }

    /// The kernel that starts in place of a boot loader; nil also after a fault.
    private func kernel(_ fields: Fields) -> BootTest.Kernel? {
        let kernel = fields.node("kernel")
        let initrd = fields.node("initrd")
        let commandLine = fields.string("cmdline")
        if kernel == nil && initrd == nil && commandLine == nil { return nil }
        guard let kernel, let initrd else {
            faults.add(
                "\(fields.what) lacks “\(kernel == nil ? "kernel" : "initrd")”", at: fields.location,
                remedy: "a test whose machine starts a kernel by itself names “kernel” and “initrd”, "
                    + "and “cmdline” for what it adds to the kernel command line")
            return nil
        }
        guard let image = artifact(kernel, fields, .file), let initrd = artifact(initrd, fields, .file) else {
            return nil
        }
        return BootTest.Kernel(image: image, initrd: initrd, commandLine: commandLine ?? "")
    }

    /// The path of an artifact of a kind.
    private func artifact(_ node: YAMLNode, _ fields: Fields, _ kind: ArtifactKind) -> String? {
        guard let path = fields.text(node, "an artifact of \(fields.what)") else { return nil }
        let known = artifacts.filter { $0.kind == kind }.map(\.path)
        if known.contains(path) { return path }
        guard !faulty else { return nil }
        let hint = Suggestion.hint(for: path, in: known)
        let word = kind == .file ? "file" : "folder"
        faults.add(
            "\(fields.what): the recipe publishes no \(word) “\(path)”\(hint)", at: node.location,
            remedy: known.isEmpty ? nil : "\(word)s: \(known.joined(separator: ", "))")
        return nil
    }

    // MARK: What is beside it

    private func disks(_ fields: Fields) -> [BootTest.Disk] {
        fields.list("disks").compactMap { node in
            if case .string(let text) = node.content, let size = ByteSize.parse(text) {
                return BootTest.Disk(size: size, format: .blank, label: "")
            }
            guard case .mapping = node.content, let nested = Fields(node, "a disk of the test", faults) else {
                faults.add(
                    "a disk of the test must be a size such as 8G, or a mapping with “size”, not \(node.kindName)",
                    at: node.location)
                return nil
            }
            let size = nested.required("size") == nil ? nil : nested.size("size")
            let words = BootTest.Disk.Format.allCases.map(\.rawValue)
            let format = nested.word("format", of: words).flatMap(BootTest.Disk.Format.init(rawValue:)) ?? .blank
            let label = nested.string("label") ?? ""
            if !label.isEmpty, format == .blank {
                faults.add(
                    "a blank disk has no label", at: node.location, remedy: "say which file system: format: ext4")
            }
            if label.utf8.count > 16 {
                faults.add("a label of ext4 has at most 16 bytes, not \(label.utf8.count)", at: node.location)
            }
            nested.finish()
            return size.map { BootTest.Disk(size: $0, format: format, label: label) }
        }
    }

    private func seed(_ fields: Fields) -> [(name: String, content: String)] {
        guard let node = fields.node("seed"), let nested = Fields(node, "“seed” of the test", faults) else { return [] }
        let files = ["user-data", "meta-data", "network-config"].compactMap { name in
            nested.string(name).map { (name: name, content: $0) }
        }
        nested.finish()
        return files
    }

    // MARK: A cluster

    private func cluster(_ fields: Fields, _ medium: BootTest.Medium?) -> BootTest.Cluster? {
        guard let node = fields.node("cluster"), let nested = Fields(node, "“cluster” of the test", faults) else {
            return nil
        }
        if case .netboot = medium {
            faults.add(
                "a test with “cluster” boots from an iso, a disk or a kernel, not from the network", at: node.location)
        }
        if fields.node("seed") != nil {
            faults.add(
                "a test with “cluster” has no “seed”", at: node.location,
                remedy: "the script of the cluster makes the seed of each machine")
        }
        let root = nested.required("root").flatMap { self.root($0) }
        let script = nested.required("run").flatMap { self.script($0, nested) }
        let environment = EnvironmentReader(faults: faults).variables(
            nested.mapping("environment"), of: "the cluster of the test")
        let seconds = nested.int("timeout", 1...86_400) ?? 300
        nested.finish()
        guard let root, let script else { return nil }
        let folder = file.split(separator: "/").dropLast().joined(separator: "/")
        return BootTest.Cluster(
            root: root, script: script.absolute,
            shownScript: folder.isEmpty ? script.relative : "\(folder)/\(script.relative)", environment: environment,
            seconds: seconds)
    }

    private func root(_ node: YAMLNode) -> OutputReference? {
        let name = "“root” of the test's cluster"
        guard let found = graph.reference(node, for: name) else { return nil }
        if found.kind != .tree {
            faults.add(
                "\(name) must be a tree, but \(found.reference) is a file", at: node.location,
                remedy: "name the root file system of a stage, for example one made by rootfs")
            return nil
        }
        return found.reference
    }

    private func script(_ node: YAMLNode, _ fields: Fields) -> ProjectPath? {
        let name = "“run” of the test's cluster"
        guard let text = fields.text(node, name),
            let path = RecipePaths(faults: faults, directory: directory).resolve(text, node, name)
        else { return nil }
        let mode = (try? Files.status(path.absolute))?.mode ?? 0
        if path.isDirectory || mode & 0o111 == 0 {
            faults.add(
                "\(name): “\(path.relative)” is no executable file", at: node.location,
                remedy: path.isDirectory ? "name the script in it" : "run `chmod +x` on it")
            return nil
        }
        return path
    }

    private func machines(_ fields: Fields) -> Int {
        guard let number = fields.int("machines", 1...BootTest.mostMachines) else { return 1 }
        if number > 1, fields.node("cluster") == nil {
            faults.add("only a test with “cluster” has several machines", at: fields.location)
        }
        return Int(number)
    }

    // MARK: Checks

    private static let kinds = ["unit", "command", "no-failed-units", "reboot", "disk"]

    private func check(_ node: YAMLNode, disks: Int, bootSeconds: Int64, hasCluster: Bool) -> BootTest.TimedCheck? {
        guard let fields = Fields(node, "a check", faults) else { return nil }
        let kinds = BootTestReader.kinds.filter { fields.node($0) != nil }
        guard kinds.count == 1 else {
            let words = BootTestReader.kinds.map { "“\($0)”" }
            faults.add(
                "a check must have one of \(words.dropLast().joined(separator: ", ")) and \(words.last ?? "")",
                at: fields.location)
            return nil
        }
        let seconds = fields.int("timeout", 1...86_400) ?? (kinds[0] == "reboot" ? bootSeconds : 60)
        let onCluster = fields.word("on", of: ["cluster"]) != nil
        if onCluster, !hasCluster || kinds[0] != "command" {
            faults.add(
                hasCluster
                    ? "on the cluster only a “command” can be checked"
                    : "a check is on the cluster, but the test has none",
                at: fields.location)
        }
        let check: BootTest.Check?
        switch kinds[0] {
        case "unit": check = unit(fields)
        case "command": check = command(fields)
        case "no-failed-units":
            onlyTrue("no-failed-units", fields)
            check = .noFailedUnits(except: fields.strings("except"))
        case "reboot":
            onlyTrue("reboot", fields)
            check = .reboot
        default: check = unchanged(fields, disks: disks)
        }
        fields.finish()
        return check.map {
            BootTest.TimedCheck(check: $0, onCluster: onCluster, seconds: seconds, location: fields.location)
        }
    }

    private func unit(_ fields: Fields) -> BootTest.Check? {
        let state = fields.word("state", of: BootTest.UnitState.allCases.map(\.rawValue))
        return fields.string("unit").map { .unit($0, state.flatMap(BootTest.UnitState.init(rawValue:)) ?? .active) }
    }

    private func command(_ fields: Fields) -> BootTest.Check? {
        let exit = Int32(fields.int("exit", 0...255) ?? 0)
        let output = expectation(fields)
        return fields.string("command").map { .command($0, exit: exit, output: output) }
    }

    private func unchanged(_ fields: Fields, disks: Int) -> BootTest.Check? {
        guard fields.required("unchanged") != nil else { return nil }
        onlyTrue("unchanged", fields)
        guard let disk = fields.int("disk", 0...63) else { return nil }
        guard disk < disks else {
            faults.add(
                "a check is about disk \(disk), but the test has \(disks == 0 ? "none" : String(disks))",
                at: fields.location, remedy: "the first one of “disks” is 0")
            return nil
        }
        return .unchanged(disk: Int(disk))
    }

    private func onlyTrue(_ key: String, _ fields: Fields) {
        guard let node = fields.node(key), node.content != .bool(true) else { return }
        faults.add("“\(key)” can only be true", at: node.location, remedy: "leave the check out")
    }

    private func expectation(_ fields: Fields) -> BootTest.Expectation {
        let exactly = fields.string("output")
        let containing = fields.string("contains")
        switch (exactly, containing) {
        case (let text?, nil): return .exactly(text)
        case (nil, let text?): return .containing(text)
        case (nil, nil): return .anything
        case (_?, _?):
            faults.add("a check has “output” or “contains”, not both", at: fields.location)
            return .anything
        }
    }
}
