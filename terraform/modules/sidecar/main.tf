locals {
  host_name     = "${var.cluster}-${var.name}-${var.region}"
  port          = 7700
  client_port   = 7401
  crossbar_port = 7600
  ships         = contains(var.roles, "ship")
  applies       = contains(var.roles, "apply")

  configuration = merge(
    {
      cluster       = var.cluster
      region        = var.region
      listen        = "0.0.0.0:${local.port}"
      metricsListen = "127.0.0.1:7480"
      tls = {
        certificate = "/etc/meridian/tls/certificate.pem"
        key         = "/etc/meridian/tls/key.pem"
        ca          = "/etc/meridian/tls/ca.pem"
      }
      access   = { grants = var.grants }
      roles    = var.roles
      stream   = var.stream
      instance = var.journal
    },
    local.ships ? { ship = { tables = var.tables, synchronous = var.synchronous } } : {},
    local.applies ? { apply = { crossbars = var.crossbars } } : {},
  )
}

module "host" {
  source = "../host"

  name    = local.host_name
  cluster = var.cluster
  region  = var.region
  unit    = "meridian-sidecar@${var.name}.service"
  unit_settings = {
    # As root and anew at each start, so that a rotated password needs a restart and nothing else.
    Service = [
      "ExecStartPre=+/usr/local/lib/meridian/fetch-secret",
      "EnvironmentFile=-/run/meridian/sidecar.env",
    ]
  }
  artifact = var.artifact
  files = {
    "/etc/meridian/sidecar-${var.name}.yaml" = { content = yamlencode(local.configuration) }
    "/etc/meridian/postgres.env" = {
      content = <<-EOT
        AWS_REGION=${var.region}
        POSTGRES_HOST=${var.postgres.host}
        POSTGRES_PORT=${var.postgres.port}
        POSTGRES_DATABASE=${var.postgres.database}
        POSTGRES_SECRET_ARN=${var.postgres.secret_arn}
      EOT
    }
    "/usr/local/lib/meridian/fetch-secret"            = { content = file("${path.module}/files/fetch-secret.sh"), mode = "0755" }
    "/usr/local/lib/meridian/setup.d/30-certificates" = { content = file("${path.module}/files/certificates.sh"), mode = "0755" }
  }
  reported_metrics   = local.applies ? { meridian_sidecar_apply_lag_seconds = "max" } : {}
  image_id           = var.image_id
  instance_type      = var.instance_type
  subnet_ids         = var.subnet_ids
  security_group_id  = aws_security_group.this.id
  kms_key_arn        = var.kms_key_arn
  size               = { min = 1, max = 1 }
  rolling_update     = false
  policies           = { secret = local.secret_policy }
  log_retention_days = var.log_retention_days
  tags               = var.tags
}

locals {
  secret_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadDatabaseSecret"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = var.postgres.secret_arn
      },
      {
        Sid       = "DecryptDatabaseSecret"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
      },
    ]
  })
}
