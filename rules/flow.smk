# Datasets that are evaluated by dense flow instead of maps have rules of their own for the same files.
FLOW = "|".join(map(re.escape, settings.flow_datasets(config))) or "(?!)"


ruleorder: evaluate_flow > evaluate
ruleorder: report_flow > report
ruleorder: publish_flow > publish


checkpoint read_flow:
    input:
        dataset=dataset_file,
    output:
        truth="work/{dataset}/flow_truth.h5",
    log:
        "logs/{dataset}/read_flow.log",
    benchmark:
        "benchmarks/{dataset}/read_flow.tsv"
    wildcard_constraints:
        dataset=FLOW,
    conda:
        "../envs/base.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=preparation("read-flow"),
    shell:
        "exec trigpoint read-flow --settings {params.settings:q} --dataset {input.dataset}"
        " --output {output.truth} > {log} 2>&1"


rule match_flow:
    input:
        dataset=ancient(dataset_file),
        truth="work/{dataset}/flow_truth.h5",
        weights=method_weights,
    output:
        flow="work/{dataset}/{run}/flow/{shard}.h5",
    log:
        "logs/{dataset}/{run}/match_flow/{shard}.log",
    benchmark:
        "benchmarks/{dataset}/{run}/match_flow/{shard}.tsv"
    wildcard_constraints:
        dataset=FLOW,
    conda:
        "../envs/torch.yaml"
    threads: 8
    resources:
        mem_mb=grow_mem_mb,
        gpu=0,
        runtime="12h",
    params:
        settings=stage("flow"),
        device=config["device"],
        images=image_signatures,
    shell:
        "exec trigpoint match-flow --settings {params.settings:q} --dataset {input.dataset}"
        " --truth {input.truth} --shard {wildcards.shard} --device {params.device}"
        " --num-threads {threads} --output {output.flow} > {log} 2>&1"


rule evaluate_flow:
    input:
        truth="work/{dataset}/flow_truth.h5",
        shards=flow_shards,
    output:
        metrics="work/{dataset}/{run}/metrics.json",
    log:
        "logs/{dataset}/{run}/evaluate_flow.log",
    benchmark:
        "benchmarks/{dataset}/{run}/evaluate_flow.tsv"
    wildcard_constraints:
        dataset=FLOW,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        code_version=settings.CODE_VERSIONS["evaluate-flow"],
    shell:
        "exec trigpoint evaluate-flow --truth {input.truth} --run {wildcards.run}"
        " --shards {input.shards} --output {output.metrics} > {log} 2>&1"


rule report_flow:
    input:
        dataset=dataset_file,
        metrics=run_metrics,
    output:
        report=directory("work/{dataset}/report"),
    log:
        "logs/{dataset}/report_flow.log",
    benchmark:
        "benchmarks/{dataset}/report_flow.tsv"
    wildcard_constraints:
        dataset=FLOW,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=report_settings,
        runs=runs_in_report,
        left_out=left_out_options,
    shell:
        'exec trigpoint report-flow --settings {params.settings:q} --commit "$TRIGPOINT_COMMIT"'
        " --dataset {input.dataset} --work work/{wildcards.dataset}"
        " --benchmarks benchmarks/{wildcards.dataset} --runs {params.runs} {params.left_out}"
        " --output {output.report} > {log} 2>&1"


rule publish_flow:
    input:
        report="work/{dataset}/report",
    output:
        results=directory("results/{dataset}"),
    log:
        "logs/{dataset}/publish_flow.log",
    wildcard_constraints:
        dataset=FLOW,
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint publish --report {input.report} --work work/{wildcards.dataset}"
        " --output {output.results} > {log} 2>&1"
