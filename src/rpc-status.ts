/** An error as google.rpc.Status, the form of both doors and of a finished Operation. Apart from `errors.ts`, which all import, for the descriptors that it loads. */
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { type Any, AnySchema, anyPack } from '@bufbuild/protobuf/wkt';
import { type ApiError, type ErrorDetail, STATUS } from './errors.ts';
import { BadRequestSchema, ErrorInfoSchema, HelpSchema, LocalizedMessageSchema, PreconditionFailureSchema } from './gen/google/rpc/error_details_pb.js';
import { type Status, StatusSchema } from './gen/google/rpc/status_pb.js';

const SCHEMAS: { readonly [type in Exclude<ErrorDetail['type'], 'google.protobuf.Any'>]: DescMessage } = {
  'google.rpc.ErrorInfo': ErrorInfoSchema,
  'google.rpc.BadRequest': BadRequestSchema,
  'google.rpc.PreconditionFailure': PreconditionFailureSchema,
  'google.rpc.LocalizedMessage': LocalizedMessageSchema,
  'google.rpc.Help': HelpSchema,
};

/** The details packed, in their order. */
export function packDetails({ details }: ApiError): Any[] {
  return details.map(({ type, value }) => {
    if (type === 'google.protobuf.Any') return create(AnySchema, value);
    const schema = SCHEMAS[type];
    // The fields of a detail are those of its type.
    return anyPack(schema, create(schema, value as MessageInitShape<DescMessage>));
  });
}

export function toRpcStatus(error: ApiError): Status {
  return create(StatusSchema, { code: STATUS[error.status].code, message: error.message, details: packDetails(error) });
}
