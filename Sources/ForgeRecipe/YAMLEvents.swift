import CYAML
import ForgeBase

/// libyaml's event parser over bytes in memory.
struct YAMLEvents: ~Copyable {
    struct Event {
        enum Kind {
            case streamStart, streamEnd, documentStart, documentEnd
            case scalar(String, plain: Bool)
            case alias(String)
            case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        }

        var kind: Kind
        var location: SourceLocation
        var anchor: String?
        var tagged = false
    }

    private let file: String
    private let bytes: UnsafeBufferPointer<UInt8>
    /// On the heap, because libyaml keeps pointers into it.
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    /// - Parameter bytes: must outlive the value.
    init(_ bytes: UnsafeBufferPointer<UInt8>, file: String) {
        self.file = file
        self.bytes = bytes
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        // Fails only when memory is out, and then every later call reports it.
        yaml_parser_initialize(parser)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// The next event; nothing may be asked after the end of the stream.
    func next() throws(ForgeError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw fault() }
        defer { yaml_event_delete(&raw) }
        var event = Event(kind: .streamEnd, location: location(raw.start_mark))
        switch raw.type {
        case YAML_STREAM_START_EVENT: event.kind = .streamStart
        case YAML_DOCUMENT_START_EVENT: event.kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: event.kind = .documentEnd
        case YAML_ALIAS_EVENT: event.kind = .alias(YAMLEvents.text(raw.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            event.kind = .scalar(text, plain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            event.anchor = YAMLEvents.text(scalar.anchor)
            event.tagged = scalar.tag != nil
        case YAML_SEQUENCE_START_EVENT:
            event.kind = .sequenceStart
            event.anchor = YAMLEvents.text(raw.data.sequence_start.anchor)
            event.tagged = raw.data.sequence_start.tag != nil
        case YAML_SEQUENCE_END_EVENT: event.kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            event.kind = .mappingStart
            event.anchor = YAMLEvents.text(raw.data.mapping_start.anchor)
            event.tagged = raw.data.mapping_start.tag != nil
        case YAML_MAPPING_END_EVENT: event.kind = .mappingEnd
        default: break
        }
        return event
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        guard let pointer else { return nil }
        return String(decodingCString: pointer, as: UTF8.self)
    }

    /// libyaml counts lines and columns from zero; editors from one.
    private func location(_ mark: yaml_mark_t) -> SourceLocation {
        SourceLocation(file: file, line: mark.line + 1, column: mark.column + 1)
    }

    /// The error that libyaml has just met, in its words, with the next step where one is known.
    private func fault() -> ForgeError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "the text ends too early"
        guard parser.pointee.error != YAML_READER_ERROR else {
            return ForgeError(
                .badInput, "not valid YAML: \(problem)", at: location(offset: parser.pointee.problem_offset))
        }
        let place = location(parser.pointee.problem_mark)
        var error = ForgeError(.badInput, "not valid YAML: \(problem)", at: place)
        if let context = parser.pointee.context {
            let start = location(parser.pointee.context_mark)
            error.details = ["\(String(cString: context)) that starts at line \(start.line), column \(start.column)"]
        }
        let index = Int(parser.pointee.problem_mark.index)
        if index < bytes.count, bytes[index] == UInt8(ascii: "\t") {
            error.remedy = "indent with spaces: YAML allows no tabs there"
        } else if problem == "mapping values are not allowed in this context" {
            error.remedy = "check the indentation, and quote a text that contains “: ”"
        }
        return error
    }

    private func location(offset: Int) -> SourceLocation {
        let before = bytes.prefix(offset)
        let line = before.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let column = line.last.map { String(decoding: $0, as: UTF8.self).unicodeScalars.count } ?? 0
        return SourceLocation(file: file, line: max(1, line.count), column: column + 1)
    }
}
