/**
 * Protobuf tags of OTLP 1.x as they stand on the wire: `field number << 3 | wire type`. Plain constants, so that the encoder's
 * and decoder's switches compile to comparisons; test/otlp/schema.test.ts checks each against the schema table.
 *
 *   0a 05 68 65 6c 6c 6f
 *   |  |  +-- payload
 *   |  +-- length (wire type 2 only)
 *   +-- 0x0a = field 1, wire type 2
 *
 * Wire types: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. Groups (3, 4) are not part of OTLP and are refused.
 */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_LENGTH = 2;
export const WIRE_FIXED32 = 5;

/** Field 1 of every Export…ServiceRequest, and the shared layout of Resource… and Scope… messages. */
export const REQUEST_RESOURCE = 0x0a;
export const RESOURCE_RESOURCE = 0x0a;
export const RESOURCE_SCOPE = 0x12;
export const RESOURCE_SCHEMA_URL = 0x1a;
export const SCOPE_SCOPE = 0x0a;
export const SCOPE_ITEM = 0x12;
export const SCOPE_SCHEMA_URL = 0x1a;

export const RESOURCE_ATTRIBUTES = 0x0a;
export const SCOPE_NAME = 0x0a;
export const SCOPE_VERSION = 0x12;
export const SCOPE_ATTRIBUTES = 0x1a;

export const KEY_VALUE_KEY = 0x0a;
export const KEY_VALUE_VALUE = 0x12;
export const ANY_STRING = 0x0a;
export const ANY_BOOL = 0x10;
export const ANY_INT = 0x18;
export const ANY_DOUBLE = 0x21;
export const ANY_ARRAY = 0x2a;
export const ANY_KVLIST = 0x32;
export const ANY_BYTES = 0x3a;
export const LIST_VALUES = 0x0a;

export const LOG_TIME = 0x09;
export const LOG_SEVERITY_NUMBER = 0x10;
export const LOG_SEVERITY_TEXT = 0x1a;
export const LOG_BODY = 0x2a;
export const LOG_ATTRIBUTES = 0x32;
export const LOG_FLAGS = 0x45;
export const LOG_TRACE_ID = 0x4a;
export const LOG_SPAN_ID = 0x52;
export const LOG_OBSERVED_TIME = 0x59;
export const LOG_EVENT_NAME = 0x62;

export const SPAN_TRACE_ID = 0x0a;
export const SPAN_SPAN_ID = 0x12;
export const SPAN_TRACE_STATE = 0x1a;
export const SPAN_PARENT_SPAN_ID = 0x22;
export const SPAN_NAME = 0x2a;
export const SPAN_KIND_TAG = 0x30;
export const SPAN_START_TIME = 0x39;
export const SPAN_END_TIME = 0x41;
export const SPAN_ATTRIBUTES = 0x4a;
export const SPAN_EVENTS = 0x5a;
export const SPAN_LINKS = 0x6a;
export const SPAN_STATUS = 0x7a;
/** Field 16: the tag takes two bytes. */
export const SPAN_FLAGS = 0x85;
export const STATUS_MESSAGE = 0x12;
export const STATUS_CODE_TAG = 0x18;
export const EVENT_TIME = 0x09;
export const EVENT_NAME = 0x12;
export const EVENT_ATTRIBUTES = 0x1a;
export const LINK_TRACE_ID = 0x0a;
export const LINK_SPAN_ID = 0x12;
export const LINK_TRACE_STATE = 0x1a;
export const LINK_ATTRIBUTES = 0x22;

export const METRIC_NAME = 0x0a;
export const METRIC_DESCRIPTION = 0x12;
export const METRIC_UNIT = 0x1a;
export const METRIC_GAUGE = 0x2a;
export const METRIC_SUM = 0x3a;
export const METRIC_HISTOGRAM = 0x4a;
export const METRIC_EXP_HISTOGRAM = 0x52;
export const METRIC_SUMMARY = 0x5a;
/** The same in gauge, sum, histogram, exponential histogram and summary. */
export const POINTS = 0x0a;
export const POINTS_TEMPORALITY = 0x10;
export const SUM_MONOTONIC = 0x18;

/** The same in every kind of data point. */
export const POINT_START_TIME = 0x11;
export const POINT_TIME = 0x19;
export const NUMBER_DOUBLE = 0x21;
export const NUMBER_EXEMPLARS = 0x2a;
export const NUMBER_INT = 0x31;
export const NUMBER_ATTRIBUTES = 0x3a;
export const NUMBER_FLAGS = 0x40;

/** Count and sum have the same tags in all distributions. */
export const POINT_COUNT = 0x21;
export const POINT_SUM = 0x29;
export const HISTOGRAM_BUCKET_COUNTS = 0x32;
export const HISTOGRAM_BOUNDS = 0x3a;
export const HISTOGRAM_EXEMPLARS = 0x42;
export const HISTOGRAM_ATTRIBUTES = 0x4a;
export const HISTOGRAM_FLAGS = 0x50;
export const HISTOGRAM_MIN = 0x59;
export const HISTOGRAM_MAX = 0x61;
export const EXP_ATTRIBUTES = 0x0a;
export const EXP_SCALE = 0x30;
export const EXP_ZERO_COUNT = 0x39;
export const EXP_POSITIVE = 0x42;
export const EXP_NEGATIVE = 0x4a;
export const EXP_FLAGS = 0x50;
export const EXP_EXEMPLARS = 0x5a;
export const EXP_MIN = 0x61;
export const EXP_MAX = 0x69;
export const BUCKETS_OFFSET = 0x08;
export const BUCKETS_COUNTS = 0x12;
export const SUMMARY_QUANTILES = 0x32;
export const SUMMARY_ATTRIBUTES = 0x3a;
export const SUMMARY_FLAGS = 0x40;
export const QUANTILE_QUANTILE = 0x09;
export const QUANTILE_VALUE = 0x11;

export const EXEMPLAR_TIME = 0x11;
export const EXEMPLAR_DOUBLE = 0x19;
export const EXEMPLAR_SPAN_ID = 0x22;
export const EXEMPLAR_TRACE_ID = 0x2a;
export const EXEMPLAR_INT = 0x31;
export const EXEMPLAR_ATTRIBUTES = 0x3a;

/** Export…ServiceResponse, its partial success (the same layout for all signals), and google.rpc.Status. */
export const RESPONSE_PARTIAL_SUCCESS = 0x0a;
export const PARTIAL_REJECTED = 0x08;
export const PARTIAL_MESSAGE = 0x12;
export const RPC_CODE = 0x08;
export const RPC_MESSAGE = 0x12;
