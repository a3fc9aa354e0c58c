import type { PriceId } from '#core/pricing/price-ids.ts';

/** How a price is called in AWS's price list. */
export interface ListedName {
  /** `serviceCode` of GetProducts, `offerCode` of offer files. */
  service: string;
  /** `usagetype` without the prefix of its region; lists called it by one of these. */
  usageTypes: readonly string[];
  /** What else must hold of the product. A missing attribute counts as empty. */
  attributes?: Readonly<Record<string, string>>;
  /** The list's words for the unit. */
  units: readonly string[];
  /** How many of the list's units are one of ours. */
  times?: number;
}

/** Some products say what is done with them; those of the same usage without it are the plain ones. */
const PLAIN = { operation: '' };

const GB_MONTH = ['GB-Mo', 'GB-month'];
const GB = ['GB'];
const REQUESTS = ['Requests', 'Request'];

function s3Storage(usageType: string): ListedName {
  return { service: 'AmazonS3', usageTypes: [usageType], attributes: PLAIN, units: GB_MONTH };
}

function s3Requests(usageType: string): ListedName {
  return { service: 'AmazonS3', usageTypes: [usageType], attributes: PLAIN, units: REQUESTS };
}

function s3Vectors(usageType: string, units: readonly string[], times?: number): ListedName {
  return {
    service: 'AmazonS3',
    usageTypes: [usageType],
    units,
    ...(times !== undefined && { times }),
  };
}

/** The list has GB (2^30 bytes) of what is priced by the TB (2^40). */
const GB_PER_TB = 1024;

/**
 * Names of the prices that are read from the list. The others are called something there that was not
 * seen yet, or, as Spot, are not in it.
 */
export const LISTED_NAMES: Readonly<Partial<Record<PriceId, ListedName>>> = {
  'lambda.gb-second.x86_64': {
    service: 'AWSLambda',
    usageTypes: ['Lambda-GB-Second'],
    units: ['Lambda-GB-Second', 'Second'],
  },
  'lambda.gb-second.arm64': {
    service: 'AWSLambda',
    usageTypes: ['Lambda-GB-Second-ARM'],
    units: ['Lambda-GB-Second', 'Second'],
  },
  'lambda.request': { service: 'AWSLambda', usageTypes: ['Request'], units: REQUESTS },
  'states.transition': {
    service: 'AmazonStates',
    usageTypes: ['StateTransition'],
    units: ['StateTransitions'],
  },
  'dynamodb.read-unit': {
    service: 'AmazonDynamoDB',
    usageTypes: ['ReadRequestUnits'],
    units: ['ReadRequestUnits'],
  },
  'dynamodb.write-unit': {
    service: 'AmazonDynamoDB',
    usageTypes: ['WriteRequestUnits'],
    units: ['WriteRequestUnits'],
  },
  'dynamodb.storage': {
    service: 'AmazonDynamoDB',
    usageTypes: ['TimedStorage-ByteHrs'],
    units: GB_MONTH,
  },
  'dynamodb.point-in-time-recovery': {
    service: 'AmazonDynamoDB',
    usageTypes: ['TimedPITRStorage-ByteHrs'],
    units: GB_MONTH,
  },
  's3.put-request': s3Requests('Requests-Tier1'),
  's3.put-request.standard-ia': s3Requests('Requests-SIA-Tier1'),
  's3.put-request.glacier-ir': s3Requests('Requests-GIR-Tier1'),
  's3.get-request': s3Requests('Requests-Tier2'),
  's3.get-request.standard-ia': s3Requests('Requests-SIA-Tier2'),
  's3.get-request.glacier-ir': s3Requests('Requests-GIR-Tier2'),
  's3.retrieval.standard-ia': {
    service: 'AmazonS3',
    usageTypes: ['Retrieval-SIA'],
    attributes: PLAIN,
    units: GB,
  },
  's3.retrieval.glacier-ir': {
    service: 'AmazonS3',
    usageTypes: ['Retrieval-GIR'],
    attributes: PLAIN,
    units: GB,
  },
  's3.storage.standard': {
    ...s3Storage('TimedStorage-ByteHrs'),
    attributes: { ...PLAIN, volumeType: 'Standard' },
  },
  's3.storage.standard-ia': s3Storage('TimedStorage-SIA-ByteHrs'),
  's3.storage.glacier-ir': s3Storage('TimedStorage-GIR-ByteHrs'),
  's3.storage.intelligent-tiering.frequent': s3Storage('TimedStorage-INT-FA-ByteHrs'),
  's3.storage.intelligent-tiering.infrequent': s3Storage('TimedStorage-INT-IA-ByteHrs'),
  's3.storage.intelligent-tiering.archive-instant': s3Storage('TimedStorage-INT-AIA-ByteHrs'),
  's3.monitored-object': {
    service: 'AmazonS3',
    usageTypes: ['Monitoring-Automation-INT'],
    units: ['Objects'],
  },
  's3vectors.storage': s3Vectors('Vectors-TimedStorage-ByteHrs', GB_MONTH),
  's3vectors.put': s3Vectors('Vectors-Put-Bytes', GB),
  's3vectors.query-data.first-100k': s3Vectors('Vectors-Query-ProcessedBytes-Tier1', GB, GB_PER_TB),
  's3vectors.query-data.over-100k': s3Vectors('Vectors-Query-ProcessedBytes-Tier2', GB, GB_PER_TB),
  's3vectors.query-data.over-10m': s3Vectors('Vectors-Query-ProcessedBytes-Tier3', GB, GB_PER_TB),
  'sqs.request': {
    service: 'AWSQueueService',
    usageTypes: ['Requests-Tier1', 'Requests-RBP'],
    units: REQUESTS,
  },
  'apigateway.http-request': {
    service: 'AmazonApiGateway',
    usageTypes: ['ApiGatewayHttpRequest'],
    units: REQUESTS,
  },
  'transfer.egress': {
    service: 'AWSDataTransfer',
    usageTypes: ['DataTransfer-Out-Bytes'],
    attributes: { transferType: 'AWS Outbound', toLocation: 'External' },
    units: GB,
  },
  'transfer.public-ipv4': {
    service: 'AmazonVPC',
    usageTypes: ['PublicIPv4:InUseAddress'],
    units: ['Hrs'],
  },
  'ecr.storage': { service: 'AmazonECR', usageTypes: ['TimedStorage-ByteHrs'], units: GB_MONTH },
  'ebs.gp3-storage': {
    service: 'AmazonEC2',
    usageTypes: ['EBS:VolumeUsage.gp3'],
    units: GB_MONTH,
  },
  'cloudwatch.alarm': {
    service: 'AmazonCloudWatch',
    usageTypes: ['CW:AlarmMonitorUsage'],
    units: ['Alarms'],
  },
  'cloudwatch.metric': {
    service: 'AmazonCloudWatch',
    usageTypes: ['CW:MetricMonitorUsage'],
    units: ['Metrics'],
  },
  'cloudwatch.logs-ingested': {
    service: 'AmazonCloudWatch',
    usageTypes: ['DataProcessing-Bytes'],
    units: GB,
  },
  'cloudwatch.logs-stored': {
    service: 'AmazonCloudWatch',
    usageTypes: ['TimedStorage-ByteHrs'],
    units: GB_MONTH,
  },
};

/** An hour of a machine as we start it: Linux, shared, nothing installed, no license of ours. */
export function machineName(instanceType: string): ListedName {
  return {
    service: 'AmazonEC2',
    usageTypes: [`BoxUsage:${instanceType}`],
    attributes: {
      instanceType,
      operatingSystem: 'Linux',
      tenancy: 'Shared',
      capacitystatus: 'Used',
      preInstalledSw: 'NA',
      marketoption: 'OnDemand',
      operation: 'RunInstances',
      licenseModel: 'No License required',
    },
    units: ['Hrs'],
  };
}

/** What the price list calls a region. */
export interface ListedRegion {
  /** How its usage types begin; nothing says so but the lists themselves. */
  usagePrefixes: readonly string[];
  /** Products that do not name the code of their region name this. */
  location: string;
}

export const LISTED_REGIONS: Readonly<Record<string, ListedRegion>> = {
  'us-east-1': { usagePrefixes: ['', 'USE1-'], location: 'US East (N. Virginia)' },
  'us-west-2': { usagePrefixes: ['USW2-'], location: 'US West (Oregon)' },
  'eu-west-1': { usagePrefixes: ['EU-'], location: 'EU (Ireland)' },
};
