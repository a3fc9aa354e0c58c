import {
  BatchGetItemCommand,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { Item } from '../memory-stores/expressions.ts';

/** Records of the ledger, each with a name of its own. */
const RUNS = /, usage\.\w+ = \w+/g;

/** A request to the table as one reads it in a schedule. */
export function described(command: unknown): string {
  if (command instanceof GetItemCommand) return `read ${keyOf(command.input.Key!)}`;
  if (command instanceof PutItemCommand) {
    return `${command.input.ConditionExpression === undefined ? 'put' : 'put if free'} ${keyOf(command.input.Item!)}`;
  }
  if (command instanceof DeleteItemCommand) return `delete ${keyOf(command.input.Key!)}`;
  if (command instanceof UpdateItemCommand) {
    const { Key: key, UpdateExpression: update, ConditionExpression: condition } = command.input;
    const values = command.input.ExpressionAttributeValues ?? {};
    const state = values[':to']?.S ?? values[':status']?.S;
    const what = state === undefined ? clean(update!) : `-> ${state}`;
    return `update ${keyOf(key!)}: ${what}${condition === undefined ? '' : ` if ${clean(condition)}`}`;
  }
  if (command instanceof QueryCommand) {
    const { IndexName: index, ExpressionAttributeValues: values } = command.input;
    return `query ${index ?? 'the table'} ${values![':key']!.S!.slice(0, 16)} ${values![':from']?.S ?? ''}`;
  }
  if (command instanceof ScanCommand) {
    return `scan ${command.input.ExpressionAttributeValues?.[':sk']?.S ?? ''}`;
  }
  if (command instanceof BatchGetItemCommand) {
    const [request] = Object.values(command.input.RequestItems!);
    return `read ${request!.Keys!.map(keyOf).join(', ')}`;
  }
  return String(command);
}

function keyOf(item: Item): string {
  const [pk, sk] = [item['pk']!.S!, item['sk']!.S!];
  return pk.startsWith(`${sk}#`) ? pk : `${pk}/${sk}`;
}

function clean(expression: string): string {
  return expression.replaceAll(/[#:](?=\w)/g, '').replaceAll(RUNS, '');
}
